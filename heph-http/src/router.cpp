#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <heph/http/router.hpp>

#include "chars.hpp"

namespace heph::http {

namespace detail {

struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>()(text);
    }
};

// One segment of the patterns. A node without handlers is only passed through.
struct route_node {
    std::unordered_map<std::string, std::unique_ptr<route_node>, text_hash, std::equal_to<>>
        literal;
    std::vector<std::unique_ptr<route_node>> parameters;  // One for each type, in their order.
    std::unique_ptr<route_node> rest;
    std::string name;  // Of the parameter, in the nodes that stand for one.
    param_type type = param_type::text;
    bool refuses_types = false;  // Of the root: a wrong type is answered with 400.
    std::vector<std::pair<method, handler>> handlers;
    method_set allowed;
};

}  // namespace detail

namespace {

using detail::param_type;
using detail::pattern_segment;
using detail::route_node;

[[noreturn]] void refuse(std::string_view pattern, std::string_view why) {
    throw std::invalid_argument("route pattern \"" + std::string(pattern) + "\" " +
                                std::string(why));
}

// How a parameter stands in a pattern.
std::string parameter_text(const route_node& node) {
    const std::string_view type = name_of(node.type);
    return '{' + node.name + (type.empty() ? "" : ":") + std::string(type) + '}';
}

template <typename Number>
bool is_number(std::string_view text) noexcept {
    Number value = 0;
    const char* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, value);
    return failure == std::errc() && at == end;
}

// RFC 9562, 4: 8, 4, 4, 4 and 12 hexadecimal digits.
bool is_uuid(std::string_view text) noexcept {
    constexpr std::string_view form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text.size() != form.size()) { return false; }
    for (std::size_t i = 0; i < form.size(); ++i) {
        const bool good = form[i] == '-' ? text[i] == '-' : detail::hex_digit(text[i]) >= 0;
        if (!good) { return false; }
    }
    return true;
}

bool is_of_type(param_type type, std::string_view text) noexcept {
    switch (type) {
        case param_type::unsigned_integer: return is_number<std::uint64_t>(text);
        case param_type::integer: return is_number<std::int64_t>(text);
        case param_type::uuid: return is_uuid(text);
        case param_type::text: break;
    }
    return true;
}

// Finds the place of a parameter of this type among the others.
std::unique_ptr<route_node>& parameter_of(route_node& parent, param_type type) {
    const auto at = std::ranges::lower_bound(parent.parameters, type, {},
                                             [](const auto& node) { return node->type; });
    if (at != parent.parameters.end() && (*at)->type == type) { return *at; }
    auto& made = *parent.parameters.insert(at, std::make_unique<route_node>());
    made->type = type;
    return made;
}

route_node& child_of(route_node& parent, const pattern_segment& segment, std::string_view pattern) {
    if (segment.kind == pattern_segment::kind_type::literal) {
        auto& child = parent.literal[std::string(segment.text)];
        if (!child) { child = std::make_unique<route_node>(); }
        return *child;
    }
    const bool rest = segment.kind == pattern_segment::kind_type::rest;
    if (rest && !parent.rest) { parent.rest = std::make_unique<route_node>(); }
    auto& child = rest ? parent.rest : parameter_of(parent, segment.type);
    if (child->name.empty()) {
        child->name = segment.text;
    } else if (child->name != segment.text) {
        refuse(pattern, "names a parameter otherwise than an earlier pattern: " + child->name);
    }
    return *child;
}

const handler* handler_of(const route_node& node, method method) noexcept {
    for (const auto& [key, value] : node.handlers) {
        if (key == method) { return &value; }
    }
    return nullptr;
}

// One search through the tree. Literal segments are tried before parameters.
class search {
public:
    search(const route_node& root, method method, path_params& params) noexcept
        : method_(method), params_(&params), refuses_types_(root.refuses_types) {}

    // `path` is what is behind the slash that ends the segment of `node`.
    const handler* find(const route_node& node, std::string_view path) {
        const std::size_t slash = path.find('/');
        const std::string_view raw = path.substr(0, slash);
        std::string decoded_memory;
        std::string_view segment = raw;
        if (raw.find('%') != std::string_view::npos) {
            auto decoded = percent_decode(raw);
            if (!decoded) {
                bad_path_ = true;
                return nullptr;
            }
            decoded_memory = std::move(*decoded);
            segment = decoded_memory;
        }
        if (const auto found = node.literal.find(segment); found != node.literal.end()) {
            if (const handler* got = descend(*found->second, path, slash)) { return got; }
        }
        if (!segment.empty()) {
            for (const auto& parameter : node.parameters) {
                if (const handler* got = take(*parameter, segment, path, slash)) { return got; }
            }
        }
        return node.rest ? take_rest(*node.rest, path) : nullptr;
    }

    [[nodiscard]] method_set allowed() const noexcept { return allowed_; }
    [[nodiscard]] bool bad_path() const noexcept { return bad_path_; }
    [[nodiscard]] bool wrong_type() const noexcept { return wrong_type_; }

private:
    const handler* take(const route_node& node, std::string_view segment, std::string_view path,
                        std::size_t slash) {
        if (is_of_type(node.type, segment)) {
            const std::size_t before = params_->size();
            params_->add(node.name, segment);
            if (const handler* got = descend(node, path, slash)) { return got; }
            params_->truncate(before);
        } else if (refuses_types_) {
            // Is the type all that is wrong? Then there is a route behind it.
            ++mistaken_;
            (void)descend(node, path, slash);
            --mistaken_;
        }
        return nullptr;
    }

    const handler* descend(const route_node& node, std::string_view path, std::size_t slash) {
        return slash == std::string_view::npos ? arrive(node) : find(node, path.substr(slash + 1));
    }

    const handler* arrive(const route_node& node) {
        if (mistaken_ > 0) {
            wrong_type_ = wrong_type_ || !node.handlers.empty();
            return nullptr;
        }
        allowed_ |= node.allowed;
        const handler* found = handler_of(node, method_);
        if (found == nullptr && method_ == method::head) { found = handler_of(node, method::get); }
        return found;
    }

    const handler* take_rest(const route_node& node, std::string_view path) {
        const auto decoded = percent_decode(path);
        // Decoded, an encoded slash could not be told from a separator any more.
        if (!decoded || std::ranges::count(*decoded, '/') != std::ranges::count(path, '/')) {
            bad_path_ = true;
            return nullptr;
        }
        const std::size_t before = params_->size();
        params_->add(node.name, *decoded);
        const handler* found = arrive(node);
        if (found == nullptr) { params_->truncate(before); }
        return found;
    }

    method method_;
    path_params* params_;
    method_set allowed_;
    unsigned mistaken_ = 0;  // Parameters on the way that are not of their types.
    bool refuses_types_;
    bool wrong_type_ = false;
    bool bad_path_ = false;
};

std::string allow_list(method_set allowed) {
    // What the router answers by itself is allowed as well.
    if (allowed.contains(method::get)) { allowed.add(method::head); }
    allowed.add(method::options);
    std::string list;
    for (std::size_t i = 0; i < method_count; ++i) {
        if (!allowed.contains(static_cast<method>(i))) { continue; }
        if (!list.empty()) { list.append(", "); }
        list.append(to_string(static_cast<method>(i)));
    }
    return list;
}

// Collects the routes below a node as patterns.
void collect(route_node& node, const std::string& pattern,
             const std::function<void(const std::string&, method, handler&&)>& add) {
    for (auto& [method, handler] : node.handlers) { add(pattern, method, std::move(handler)); }
    for (auto& [text, child] : node.literal) { collect(*child, pattern + '/' + text, add); }
    for (const auto& parameter : node.parameters) {
        collect(*parameter, pattern + '/' + parameter_text(*parameter), add);
    }
    if (node.rest) { collect(*node.rest, pattern + "/{" + node.rest->name + "...}", add); }
}

// Answers a request for which there is no handler.
response answer_without_route(const route_node& root, request& request) {
    // `OPTIONS *` asks about the server as a whole.
    if (request.head().target_form() == target_form::asterisk) { return response::empty(); }
    if (request.method() == method::connect) {
        return response::problem(status::not_implemented).close_connection();
    }
    router::match route;
    if (request.path().starts_with('/')) {
        search search(root, request.method(), request.params());
        (void)search.find(root, request.path().substr(1));
        route.allowed = search.allowed();
        route.bad_path = search.bad_path();
        route.wrong_type = search.wrong_type();
    }
    return router::answer_unmatched(request.method(), route);
}

// It refers to the handler, not to the `next_handler`, which may be gone: a middleware that is no
// coroutine returns what this makes.
task<response> go_on(const handler& next, request& request) {
    if (next.is_direct()) { co_return next.call(request); }
    response answer = co_await next.start(request);
    co_return answer;
}

}  // namespace

task<response> next_handler::operator()(request& request) const { return go_on(*next_, request); }

handler router::wrap(handler inner) const {
    for (std::size_t i = around_.size(); i-- > 0;) {
        inner =
            handler([around = around_[i], next = std::make_shared<const handler>(std::move(inner))](
                        request& request) { return (*around)(request, next_handler(*next)); });
    }
    return inner;
}

router& router::use(middleware around) {
    if (!around) { throw std::invalid_argument("a middleware has no function"); }
    around_.push_back(std::make_shared<const middleware>(std::move(around)));
    unmatched_ = wrap(handler(
        [root = root_.get()](request& request) { return answer_without_route(*root, request); }));
    return *this;
}

router& router::mount(std::string_view prefix, router other) {
    if (!prefix.starts_with('/') || prefix.ends_with('/')) {
        refuse(prefix, "is a prefix that does not begin with a slash, or ends with one");
    }
    collect(*other.root_, std::string(prefix),
            [this](const std::string& pattern, method method, handler&& handler) {
                route(method, pattern, std::move(handler));
            });
    return *this;
}

router::router() : root_(std::make_unique<route_node>()) {}
router::router(router&&) noexcept = default;
router& router::operator=(router&&) noexcept = default;
router::~router() = default;

router& router::answer_wrong_types(status answered) {
    if (answered != status::not_found && answered != status::bad_request) {
        throw std::invalid_argument("a wrong type is answered with 404 or 400");
    }
    root_->refuses_types = answered == status::bad_request;
    return *this;
}

router& router::route(method method, std::string_view pattern, handler handler) {
    if (const char* fault = detail::fault_of(pattern)) { refuse(pattern, fault); }
    if (method == method::connect || method == method::trace) {
        refuse(pattern, "is for a method that is not routed");
    }
    if (!handler) { refuse(pattern, "has an empty handler"); }
    route_node* node = root_.get();
    std::string_view left = pattern.substr(1);
    for (bool last = false; !last;) {
        const pattern_segment segment = detail::next_segment(left, last);
        node = &child_of(*node, segment, pattern);
    }
    if (node->allowed.contains(method)) {
        refuse(pattern, "has a handler for this method already");
    }
    node->allowed.add(method);
    node->handlers.emplace_back(method, wrap(std::move(handler)));
    return *this;
}

router::match router::find(method method, std::string_view path, path_params& params) const {
    match result;
    if (!path.starts_with('/')) { return result; }
    search search(*root_, method, params);
    result.found = search.find(*root_, path.substr(1));
    result.allowed = search.allowed();
    result.bad_path = search.bad_path() && result.found == nullptr;
    result.wrong_type = search.wrong_type() && result.found == nullptr;
    return result;
}

response router::answer_unmatched(method method, const match& match) {
    if (match.bad_path) { return response::problem(error::bad_target); }
    if (match.allowed.empty() && match.wrong_type) {
        return response::problem(status::bad_request,
                                 "A part of the path is not of the type that belongs there.");
    }
    if (match.allowed.empty()) { return response::problem(status::not_found); }
    if (method == method::options) {
        return response::empty().set_header("Allow", allow_list(match.allowed));
    }
    return response::problem(status::method_not_allowed)
        .set_header("Allow", allow_list(match.allowed));
}

task<response> router::handle(request& request) const {
    request.params().clear();
    match route;
    if (request.head().target_form() == target_form::origin ||
        request.head().target_form() == target_form::absolute) {
        route = find(request.method(), request.path(), request.params());
    }
    if (route.found == nullptr && !has_middleware()) {
        co_return answer_without_route(*root_, request);
    }
    const handler& found = route.found != nullptr ? *route.found : unmatched_;
    if (found.is_direct()) { co_return found.call(request); }
    response answer = co_await found.start(request);
    co_return answer;
}

}  // namespace heph::http
