#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <heph/http/router.hpp>

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
    std::unique_ptr<route_node> parameter;
    std::unique_ptr<route_node> rest;
    std::string name;  // Of the parameter, in the nodes that stand for one.
    std::vector<std::pair<method, handler>> handlers;
    method_set allowed;
};

}  // namespace detail

namespace {

using detail::route_node;

[[noreturn]] void refuse(std::string_view pattern, std::string_view why) {
    throw std::invalid_argument("route pattern \"" + std::string(pattern) + "\" " +
                                std::string(why));
}

bool is_name(std::string_view text) noexcept {
    if (text.empty()) { return false; }
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(c >= '0' && c <= '9')) { return false; }
    }
    return true;
}

// One segment of a pattern.
struct pattern_segment {
    enum class kind { literal, parameter, rest } kind = kind::literal;
    std::string_view text;
};

pattern_segment read_segment(std::string_view pattern, std::string_view segment) {
    pattern_segment made;
    made.text = segment;
    if (segment.find_first_of("{}") == std::string_view::npos) {
        if (segment == "." || segment == "..") { refuse(pattern, "has a segment \".\" or \"..\""); }
        if (segment.find_first_of("%?#") != std::string_view::npos) {
            refuse(pattern, "has one of % ? #: literal text is written decoded");
        }
        return made;
    }
    if (!segment.starts_with('{') || !segment.ends_with('}')) {
        refuse(pattern, "has a segment that mixes text and a parameter");
    }
    made.kind = pattern_segment::kind::parameter;
    made.text = segment.substr(1, segment.size() - 2);
    if (made.text.ends_with("...")) {
        made.kind = pattern_segment::kind::rest;
        made.text.remove_suffix(3);
    }
    if (!is_name(made.text)) { refuse(pattern, "has a parameter without a proper name"); }
    return made;
}

route_node& child_of(route_node& parent, const pattern_segment& segment, std::string_view pattern) {
    if (segment.kind == pattern_segment::kind::literal) {
        auto& child = parent.literal[std::string(segment.text)];
        if (!child) { child = std::make_unique<route_node>(); }
        return *child;
    }
    auto& child = segment.kind == pattern_segment::kind::rest ? parent.rest : parent.parameter;
    if (!child) {
        child = std::make_unique<route_node>();
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
    search(method method, path_params& params) noexcept : method_(method), params_(&params) {}

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
        if (node.parameter && !segment.empty()) {
            const std::size_t before = params_->size();
            params_->add(node.parameter->name, segment);
            if (const handler* got = descend(*node.parameter, path, slash)) { return got; }
            params_->truncate(before);
        }
        return node.rest ? take_rest(*node.rest, path) : nullptr;
    }

    [[nodiscard]] method_set allowed() const noexcept { return allowed_; }
    [[nodiscard]] bool bad_path() const noexcept { return bad_path_; }

private:
    const handler* descend(const route_node& node, std::string_view path, std::size_t slash) {
        return slash == std::string_view::npos ? arrive(node) : find(node, path.substr(slash + 1));
    }

    const handler* arrive(const route_node& node) {
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
    if (node.parameter) {
        collect(*node.parameter, pattern + "/{" + node.parameter->name + '}', add);
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
        search search(request.method(), request.params());
        (void)search.find(root, request.path().substr(1));
        route.allowed = search.allowed();
        route.bad_path = search.bad_path();
    }
    return router::answer_unmatched(request.method(), route);
}

}  // namespace

task<response> next_handler::operator()(request& request) const {
    if (next_->is_direct()) { co_return next_->call(request); }
    response answer = co_await next_->start(request);
    co_return answer;
}

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

router& router::route(method method, std::string_view pattern, handler handler) {
    if (!pattern.starts_with('/')) { refuse(pattern, "does not begin with a slash"); }
    if (method == method::connect || method == method::trace) {
        refuse(pattern, "is for a method that is not routed");
    }
    if (!handler) { refuse(pattern, "has an empty handler"); }
    route_node* node = root_.get();
    std::vector<std::string_view> names;
    for (std::size_t at = 1;;) {
        const std::size_t slash = pattern.find('/', at);
        const auto segment = read_segment(pattern, pattern.substr(at, slash - at));
        if (segment.kind != pattern_segment::kind::literal) {
            if (std::ranges::find(names, segment.text) != names.end()) {
                refuse(pattern, "uses a parameter's name twice");
            }
            names.push_back(segment.text);
        }
        node = &child_of(*node, segment, pattern);
        if (slash == std::string_view::npos) { break; }
        if (segment.kind == pattern_segment::kind::rest) {
            refuse(pattern, "goes on behind a parameter that takes all that is left");
        }
        at = slash + 1;
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
    search search(method, params);
    result.found = search.find(*root_, path.substr(1));
    result.allowed = search.allowed();
    result.bad_path = search.bad_path() && result.found == nullptr;
    return result;
}

response router::answer_unmatched(method method, const match& match) {
    if (match.bad_path) { return response::problem(error::bad_target); }
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
