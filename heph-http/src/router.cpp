#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <heph/http/router.hpp>

#include "chars.hpp"

namespace heph::http {

namespace detail {

// Most segments are so short that two words have all of them.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        if (text.size() > 16) { return std::hash<std::string_view>()(text); }
        std::uint64_t front = 0;
        std::uint64_t back = 0;
        if (text.size() >= 8) {
            std::memcpy(&front, text.data(), 8);
            std::memcpy(&back, text.data() + text.size() - 8, 8);
        } else {
            for (const char c : text) { front = front << 8U | static_cast<unsigned char>(c); }
        }
        // Odd factors without a pattern, and the upper bits, to which all bytes have come.
        constexpr std::uint64_t first = 0x9e3779b97f4a7c15;
        constexpr std::uint64_t second = 0xc2b2ae3d27d4eb4f;
        const std::uint64_t mixed = (front ^ text.size()) * first + (back ^ (back >> 29U)) * second;
        return (mixed ^ (mixed >> 32U)) * first >> 16U;
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
    struct route {
        http::method method;  // Of an extension: see `route_tree::codes`.
        http::handler handler;
        bool implied;  // Gives way to another one.
    };
    std::vector<route> routes;
    method_set allowed;
    std::shared_ptr<const handler> unmatched;  // Answers other methods; null without middleware.
    std::shared_ptr<const handler> below;      // Answers unknown paths below a mounted router.
};

// Leads to a tree, or from that of a mounted router to the one that took its routes.
struct tree_link {
    const route_tree* tree;
    std::shared_ptr<const tree_link> taken_by;
};

struct route_tree {
    route_node top;
    bool refuses_types = false;  // A wrong type is answered with 400.
    bool has_mounted = false;    // There is a node with `below`.
    extension_methods extensions;
    // So that routes are found as fast as without extension methods, these have values, too: those
    // behind `method::extension`, in this order.
    std::vector<std::string> codes;
    error_page page;  // Empty for what `response::problem` makes.
    std::shared_ptr<tree_link> link = std::make_shared<tree_link>(this, nullptr);
};

}  // namespace detail

namespace {

using detail::param_type;
using detail::pattern_segment;
using detail::route_node;
using detail::route_tree;
using detail::tree_link;

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

constexpr std::size_t extensions_max = 200;

constexpr bool is_extension(method value) noexcept { return value > method::extension; }

method code_of_extension(std::size_t index) noexcept {
    return static_cast<method>(static_cast<std::size_t>(method::extension) + 1 + index);
}

std::size_t index_of_extension(method code) noexcept {
    return static_cast<std::size_t>(code) - static_cast<std::size_t>(method::extension) - 1;
}

// Gives the value of an extension method in this tree; `extension` for none of it.
method code_of(const route_tree& tree, std::string_view name) noexcept {
    const auto at = std::ranges::find(tree.codes, name);
    if (at == tree.codes.end()) { return method::extension; }
    return code_of_extension(static_cast<std::size_t>(at - tree.codes.begin()));
}

// Gives a new one where there is none.
method make_code(route_tree& tree, std::string_view name) {
    const method known = code_of(tree, name);
    if (is_extension(known)) { return known; }
    if (tree.codes.size() == extensions_max) {
        throw std::invalid_argument("a router has no more than 200 extension methods");
    }
    tree.extensions.add(name);
    tree.codes.emplace_back(name);
    return code_of_extension(tree.codes.size() - 1);
}

const handler* handler_of(const route_node& node, method method) noexcept {
    for (const auto& route : node.routes) {
        if (route.method == method) { return &route.handler; }
    }
    return nullptr;
}

// One search through the tree. Literal segments are tried before parameters.
class search {
public:
    search(const route_tree& tree, method method, path_params& params) noexcept
        : method_(method), params_(&params), refuses_types_(tree.refuses_types) {}

    /// Lets `into` get the extension methods of the places that the path leads to.
    void collect(std::vector<method>& into) noexcept { extensions_ = &into; }

    // `path` is what is behind the slash that ends the segment of `node`.
    const handler* find(const route_node& node, std::string_view path) {
        // Segments are short: one look at each byte costs less than two calls.
        std::size_t end = 0;
        bool encoded = false;
        for (; end < path.size() && path[end] != '/'; ++end) { encoded |= path[end] == '%'; }
        const std::size_t slash = end == path.size() ? std::string_view::npos : end;
        const std::string_view raw = path.substr(0, end);
        std::string decoded_memory;
        std::string_view segment = raw;
        if (encoded) {
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
    /// Gives the first place that the path leads to, where there is no handler for the method.
    [[nodiscard]] const route_node* other_methods() const noexcept { return other_methods_; }

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
            wrong_type_ = wrong_type_ || !node.routes.empty();
            return nullptr;
        }
        allowed_ |= node.allowed;
        const handler* found = handler_of(node, method_);
        if (found == nullptr && method_ == method::head) { found = handler_of(node, method::get); }
        if (found == nullptr && other_methods_ == nullptr && !node.routes.empty()) {
            other_methods_ = &node;
        }
        if (extensions_ != nullptr) [[unlikely]] { note_extensions(node); }
        return found;
    }

    // Out of the way of the searches that do not ask for it.
    [[gnu::cold, gnu::noinline]] void note_extensions(const route_node& node) const {
        for (const auto& route : node.routes) {
            const bool noted = std::ranges::find(*extensions_, route.method) != extensions_->end();
            if (is_extension(route.method) && !noted) { extensions_->push_back(route.method); }
        }
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
    const route_node* other_methods_ = nullptr;
    std::vector<method>* extensions_ = nullptr;
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

// Finds what the innermost mounted router has around a path that leads nowhere.
class mounted_search {
public:
    explicit mounted_search(const route_node& top) noexcept : innermost_(top.below.get()) {}

    // `path` is what is behind the slash that ends the segment of `node`.
    void look(const route_node& node, std::string_view path, std::size_t depth) {
        const std::size_t slash = path.find('/');
        const std::string_view raw = path.substr(0, slash);
        const auto decoded = percent_decode(raw);
        if (!decoded) { return; }
        if (const auto found = node.literal.find(*decoded); found != node.literal.end()) {
            arrive(*found->second, path, slash, depth);
        }
        for (const auto& parameter : node.parameters) {
            if (decoded->empty() || !is_of_type(parameter->type, *decoded)) { continue; }
            arrive(*parameter, path, slash, depth);
        }
    }
    [[nodiscard]] const handler* innermost() const noexcept { return innermost_; }

private:
    void arrive(const route_node& node, std::string_view path, std::size_t slash,
                std::size_t depth) {
        if (node.below && depth > depth_) {
            innermost_ = node.below.get();
            depth_ = depth;
        }
        if (slash != std::string_view::npos) { look(node, path.substr(slash + 1), depth + 1); }
    }

    const handler* innermost_;
    std::size_t depth_ = 0;
};

// Collects the nodes below a node, with their patterns.
void collect(route_node& node, const std::string& pattern,
             const std::function<void(const std::string&, route_node&)>& add) {
    add(pattern, node);
    for (const auto& [text, child] : node.literal) { collect(*child, pattern + '/' + text, add); }
    for (const auto& parameter : node.parameters) {
        collect(*parameter, pattern + '/' + parameter_text(*parameter), add);
    }
    if (node.rest) { collect(*node.rest, pattern + "/{" + node.rest->name + "...}", add); }
}

constexpr std::string_view wrong_type_text =
    "A part of the path is not of the type that belongs there.";

// What an error page may not change is as in the answer without one.
response page_for(const error_page& page, const refusal& refused, const response& plain) {
    response made = page(refused);
    if (made.is_streamed() || made.is_upgrade()) {
        throw std::logic_error("an error page has a body that is there");
    }
    made.set_status(plain.status());
    for (const std::string_view name : {"Allow", "Retry-After"}) {
        if (const auto value = plain.headers().get(name)) { made.set_header(name, *value); }
    }
    if (plain.closes_connection()) { made.close_connection(); }
    return made;
}

response rendered(const route_tree& tree, request& request, refusal refused, response plain) {
    if (!tree.page || code(plain.status()) < 400) { return plain; }
    refused.status = plain.status();
    refused.asked = &request.head();
    try {
        return page_for(tree.page, refused, plain);
    } catch (...) { request.report_failure(std::current_exception()); }
    return plain;
}

// Adds them to what `Allow` says, if anything.
void allow_extensions(const route_tree& tree, const request& asked, response& to) {
    const auto list = to.headers().get("Allow");
    if (!list) { return; }
    std::vector<method> allowed;
    path_params params;
    search everywhere(tree, method::extension, params);
    everywhere.collect(allowed);
    (void)everywhere.find(tree.top, asked.path().substr(1));
    std::string all(*list);
    for (const method each : allowed) { all += ", " + tree.codes[index_of_extension(each)]; }
    to.set_header("Allow", all);
}

response refuse_request(const route_tree& tree, request& request, const router::match& match) {
    refusal refused;
    if (match.bad_path) {
        refused.why = error::bad_target;
        refused.detail = message(error::bad_target);
    } else if (match.allowed.empty() && match.wrong_type) {
        refused.detail = wrong_type_text;
    }
    response plain = router::answer_unmatched(request.method(), match);
    if (match.allowed.contains(method::extension)) { allow_extensions(tree, request, plain); }
    return rendered(tree, request, refused, std::move(plain));
}

method method_in(const route_tree& tree, const request& asked) noexcept {
    return asked.method() == method::extension ? code_of(tree, asked.method_name())
                                               : asked.method();
}

// Answers a request for which there is no handler.
response answer_without_route(const route_tree& tree, request& request) {
    // `OPTIONS *` asks about the server as a whole.
    if (request.head().target_form() == target_form::asterisk) { return response::empty(); }
    if (request.method() == method::connect) {
        response plain = response::problem(status::not_implemented);
        plain.close_connection();
        return rendered(tree, request, refusal(), std::move(plain));
    }
    router::match route;
    if (request.path().starts_with('/')) {
        search search(tree, method_in(tree, request), request.params());
        (void)search.find(tree.top, request.path().substr(1));
        route.allowed = search.allowed();
        route.bad_path = search.bad_path();
        route.wrong_type = search.wrong_type();
    }
    return refuse_request(tree, request, route);
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
    const std::shared_ptr<const tree_link> own = tree_->link;
    unmatched_ = std::make_shared<const handler>(wrap(handler([own](request& request) {
        const tree_link* link = own.get();
        while (link->taken_by) { link = link->taken_by.get(); }
        return answer_without_route(*link->tree, request);
    })));
    return *this;
}

handler with(middleware around, handler inner) {
    if (!around || !inner) { throw std::invalid_argument("with: there is no function to call"); }
    return handler([around = std::make_shared<const middleware>(std::move(around)),
                    next = std::make_shared<const handler>(std::move(inner))](request& request) {
        return (*around)(request, next_handler(*next));
    });
}

namespace {

route_node& node_of(route_node& top, std::string_view pattern) {
    route_node* node = &top;
    std::string_view left = pattern.substr(1);
    for (bool last = false; !last;) {
        const pattern_segment segment = detail::next_segment(left, last);
        node = &child_of(*node, segment, pattern);
    }
    return *node;
}

// `unmatched` is around other methods of the path from now on.
void add_route(route_node& top, std::string_view pattern, route_node::route added,
               std::shared_ptr<const handler> unmatched) {
    route_node& node = node_of(top, pattern);
    const auto same = std::ranges::find(node.routes, added.method,
                                        [](const auto& route) { return route.method; });
    if (same != node.routes.end()) {
        if (added.implied) { return; }
        if (!same->implied) { refuse(pattern, "has a handler for this method already"); }
        *same = std::move(added);
    } else {
        node.allowed.add(std::min(added.method, method::extension));
        node.routes.push_back(std::move(added));
    }
    node.unmatched = std::move(unmatched);
}

}  // namespace

router& router::mount(std::string_view prefix, router other) {
    const std::string before(prefix == "/" ? std::string_view() : prefix);
    if (!prefix.starts_with('/') || before.ends_with('/')) {
        refuse(prefix, "is a prefix that does not begin with a slash, or ends with one");
    }
    if (const char* fault = detail::fault_of(before + '/')) { refuse(prefix, fault); }
    other.tree_->link->taken_by = tree_->link;
    std::map<const handler*, std::shared_ptr<const handler>> wrapped;
    const auto within = [&](const std::shared_ptr<const handler>& inner) {
        if (!inner) { return unmatched_; }
        auto& made = wrapped[inner.get()];
        if (!made) { made = std::make_shared<const handler>(wrap(*inner)); }
        return made;
    };
    const auto place_below = [&](const std::string& at,
                                 const std::shared_ptr<const handler>& inner) {
        route_node& node = at.empty() ? tree_->top : node_of(tree_->top, at);
        if (!node.below) { node.below = within(inner); }
        tree_->has_mounted = true;
    };
    const route_node& other_top = other.tree_->top;
    const auto& everything = other_top.below ? other_top.below : other.unmatched_;
    if (everything) { place_below(before, everything); }
    collect(other.tree_->top, before, [&](const std::string& pattern, route_node& node) {
        if (node.below) { place_below(pattern, node.below); }
        if (node.routes.empty()) { return; }
        if (const char* fault = detail::fault_of(pattern)) { refuse(pattern, fault); }
        const bool is_root = pattern.size() == before.size() + 1 && !before.empty();
        for (auto& [given, function, implied] : node.routes) {
            const handler around = wrap(std::move(function));
            const method method =
                is_extension(given)
                    ? make_code(*tree_, other.tree_->codes[index_of_extension(given)])
                    : given;
            add_route(tree_->top, pattern, {method, around, implied}, within(node.unmatched));
            if (!is_root) { continue; }
            add_route(tree_->top, before, {method, around, true}, within(node.unmatched));
        }
    });
    return *this;
}

router::router() : tree_(std::make_unique<route_tree>()) {}
router::router(router&&) noexcept = default;
router& router::operator=(router&&) noexcept = default;
router::~router() = default;

router& router::answer_wrong_types(status answered) {
    if (answered != status::not_found && answered != status::bad_request) {
        throw std::invalid_argument("a wrong type is answered with 404 or 400");
    }
    tree_->refuses_types = answered == status::bad_request;
    return *this;
}

router& router::render_errors(error_page page) {
    if (!page) { throw std::invalid_argument("an error page has no function"); }
    tree_->page = std::move(page);
    return *this;
}

router& router::observe(exchange_observer observer) {
    if (!observer) { throw std::invalid_argument("an observer has no function"); }
    observers_.push_back(std::move(observer));
    return *this;
}

void router::tell(const exchange& what) const {
    std::exception_ptr failure;
    for (const exchange_observer& each : observers_) {
        try {
            each(what);
        } catch (...) { failure = std::current_exception(); }
    }
    if (failure) { std::rethrow_exception(std::move(failure)); }
}

bool router::has_error_page() const noexcept { return static_cast<bool>(tree_->page); }

response router::render(const refusal& refused, const response& plain) const {
    return page_for(tree_->page, refused, plain);
}

response router::error_answer(request& request, const match& found) const {
    return refuse_request(*tree_, request, found);
}

router& router::route(method method, std::string_view pattern, handler handler) {
    if (const char* fault = detail::fault_of(pattern)) { refuse(pattern, fault); }
    if (method == method::connect || method == method::trace || method >= method::extension) {
        refuse(pattern, "is for a method that is not routed");
    }
    if (!handler) { refuse(pattern, "has an empty handler"); }
    add_route(tree_->top, pattern, {method, wrap(std::move(handler)), false}, unmatched_);
    return *this;
}

router& router::route(std::string_view method_name, std::string_view pattern, handler handler) {
    if (const auto known = parse_method(method_name)) {
        return route(*known, pattern, std::move(handler));
    }
    if (const char* fault = detail::fault_of(pattern)) { refuse(pattern, fault); }
    if (!handler) { refuse(pattern, "has an empty handler"); }
    const method code = make_code(*tree_, method_name);
    add_route(tree_->top, pattern, {code, wrap(std::move(handler)), false}, unmatched_);
    return *this;
}

const extension_methods& router::extensions() const noexcept { return tree_->extensions; }

router::match router::find(std::string_view method_name, std::string_view path,
                           path_params& params) const {
    const auto known = parse_method(method_name);
    return find(known ? *known : code_of(*tree_, method_name), path, params);
}

router::match router::find(method method, std::string_view path, path_params& params) const {
    match result;
    if (!path.starts_with('/')) {
        result.unmatched = unmatched_.get();
        return result;
    }
    search search(*tree_, method, params);
    result.found = search.find(tree_->top, path.substr(1));
    result.allowed = search.allowed();
    if (result.found != nullptr) { return result; }
    result.bad_path = search.bad_path();
    result.wrong_type = search.wrong_type();
    if (const route_node* const place = search.other_methods()) {
        result.unmatched = place->unmatched.get();
        return result;
    }
    result.unmatched = unmatched_.get();
    if (tree_->has_mounted) {
        mounted_search mounted(tree_->top);
        mounted.look(tree_->top, path.substr(1), 1);
        if (mounted.innermost() != nullptr) { result.unmatched = mounted.innermost(); }
    }
    return result;
}

response router::answer_unmatched(method method, const match& match) {
    if (match.bad_path) { return response::problem(error::bad_target); }
    if (match.allowed.empty() && match.wrong_type) {
        return response::problem(status::bad_request, wrong_type_text);
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
    const handler* answering = unmatched_.get();
    if (request.head().target_form() == target_form::origin ||
        request.head().target_form() == target_form::absolute) {
        const match route = find(method_in(*tree_, request), request.path(), request.params());
        answering = route.found != nullptr ? route.found : route.unmatched;
    }
    if (answering == nullptr) { co_return answer_without_route(*tree_, request); }
    if (answering->is_direct()) { co_return answering->call(request); }
    response answer = co_await answering->start(request);
    co_return answer;
}

}  // namespace heph::http
