#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/detail/route_pattern.hpp>
#include <heph/http/error_page.hpp>
#include <heph/http/exchange.hpp>
#include <heph/http/method.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>

namespace heph::http {

namespace detail {
struct route_tree;
}

/// Answers a request: any function `task<response>(request&)`, or `response(request&)` when it has
/// nothing to wait for.
///
/// A coroutine lambda with captures is safe here: the router owns it for as long as it serves.
/// *Thread safety*: it is called by all workers that serve the router, at the same time.
class handler {
public:
    handler() noexcept = default;

    template <typename F>
        requires(!std::same_as<std::remove_cvref_t<F>, handler> &&
                 std::is_invocable_r_v<task<response>, F&, request&>)
    handler(F function) : waiting_(std::move(function)) {}  // NOLINT(google-explicit-constructor)

    template <typename F>
        requires(!std::same_as<std::remove_cvref_t<F>, handler> &&
                 std::is_invocable_r_v<response, F&, request&>)
    handler(F function) : direct_(std::move(function)) {}  // NOLINT(google-explicit-constructor)

    /// Tells whether there is a function to call.
    [[nodiscard]] explicit operator bool() const noexcept { return direct_ || waiting_; }
    /// Tells whether it answers without a coroutine, through `call`.
    [[nodiscard]] bool is_direct() const noexcept { return static_cast<bool>(direct_); }
    /// Answers. *Requires*: `is_direct()`.
    [[nodiscard]] response call(request& request) const { return direct_(request); }
    /// Answers. *Requires*: not `is_direct()`.
    [[nodiscard]] task<response> start(request& request) const { return waiting_(request); }

private:
    std::function<task<response>(request&)> waiting_;
    std::function<response(request&)> direct_;
};

/// What a middleware hands a request on to: the next middleware, or the handler.
///
/// *Lifetime*: it refers to the router.
class next_handler {
public:
    explicit next_handler(const handler& next) noexcept : next_(&next) {}

    /// Lets the rest answer the request. What it throws comes out of the await.
    [[nodiscard]] task<response> operator()(request& request) const;

private:
    const handler* next_;
};

/// Does something before and after requests are answered, or answers them itself:
///
///     router.use([](http::request& request, http::next_handler next) {
///         return [](http::request& asked, http::next_handler rest) -> heph::task<http::response> {
///             http::response answer = co_await rest(asked);
///             answer.set_header("Server", "mine");
///             co_return answer;
///         }(request, next);
///     });
///
/// A coroutine lambda with captures is safe here: the router owns it for as long as it serves.
/// *Thread safety*: it is called by all workers that serve the router, at the same time.
using middleware = std::function<task<response>(request&, next_handler)>;

/// Puts a middleware around one handler, for a route of its own:
///
///     router.put("/upload", http::with(http::body_limit(100'000'000), store));
///
/// Several go around it as with `router::use`, the first one outermost. What the router answers by
/// itself at that path, such as 405, is outside. *Errors*: throws `std::invalid_argument` when one
/// of them has no function.
[[nodiscard]] handler with(middleware around, handler inner);

template <typename... More>
    requires(sizeof...(More) > 0)
[[nodiscard]] handler with(middleware outer, middleware inner, More&&... more) {
    return with(std::move(outer), with(std::move(inner), std::forward<More>(more)...));
}

/// Finds the handler of a request by its path and method.
///
///     router.get("/notes/{id}", read_note).put("/notes/{id}", write_note);
///     router.get("/files/{path...}", read_file);
///
/// A pattern's segment is literal text, `{name}` for one segment that is not empty, or, at the end,
/// `{name...}` for all that is left, which may be nothing. Literal text comes before `{name}`, and
/// that before `{name...}`. Segments are compared percent-decoded, and parameters are given
/// decoded; an encoded slash never counts as a separator, and is refused within `{name...}`.
/// Empty segments count: `/a//b` is not `/a/b`, and what `{name...}` gives may begin with a slash.
/// A parameter may hold any byte but NUL: check it before it becomes a file's name.
///
/// A type says what a segment must be: `{id:int}` a decimal number of 64 bits, `{id:uint}` one
/// without a sign, `{id:uuid}` a UUID (RFC 9562). `request::param_as<int>("id")` gives it. Another
/// segment does not match, so that a further route may: types are tried before `{name}`, the
/// narrower ones first. When none does, that is 404, or 400 by `answer_wrong_types`.
///
/// A pattern may be a template argument, `router.get<"/notes/{id:int}">(read_note)`: then the
/// compiler refuses one that is malformed.
///
/// The time taken grows with the path's length, not with the number of routes.
///
/// HEAD is answered by the handler of GET, and OPTIONS by the allowed methods, unless there is a
/// handler for them. An unknown path is answered with 404, another method with 405 and `Allow`.
/// What is around these answers:
///
/// - at a path with routes, the middleware of the one that was added last, so that what is put
///   there later changes nothing for it;
/// - below the prefix of a mounted router, all of that one's, within what was around it then;
/// - elsewhere all of this router's, also what came behind the routes: who must not see that a path
///   is unknown before he has said who he is gets 401 there.
///
/// *Thread safety*: setting up is unsafe; finding is safe.
class router {
public:
    router();
    router(router&&) noexcept;
    router& operator=(router&&) noexcept;
    ~router();

    /// Adds a route.
    /// *Errors*: throws `std::invalid_argument` when the pattern is malformed, the handler is
    /// empty, or the route is there already, maybe with another parameter's name.
    router& route(method method, std::string_view pattern, handler handler);

    /// Adds a route for a method by its name, also one that `method` has no value for: `BREW`. A
    /// router has up to 200 of these.
    /// *Errors*: also throws `std::invalid_argument` for what is no name of a method, or too long.
    router& route(std::string_view method_name, std::string_view pattern, handler handler);

    template <detail::checked_pattern Pattern>
    router& route(method method, handler function) {
        return route(method, Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& route(std::string_view method_name, handler function) {
        return route(method_name, Pattern.view(), std::move(function));
    }

    /// Chooses what answers a path in which nothing is wrong but a parameter's type: 404, as
    /// for any other path that is not there, or 400 (Bad Request). A mounted router's choice does
    /// not count. *Errors*: throws `std::invalid_argument` for another status.
    router& answer_wrong_types(status answered);

    /// Lets `page` make what clients see of the errors that the server answers by itself, here and
    /// below the connection: 400, 404, 405, 408, 413, 414, 417, 431, 500, 501, 503 and 505.
    ///
    ///     router.render_errors([](const http::refusal& refused) {
    ///         return http::response::html(page_about(refused.status));
    ///     });
    ///
    /// Its status does not count, and `Allow`, `Retry-After` and whether the connection ends are as
    /// they are without it. When it throws, gives a stream or an upgrade, or a header that cannot
    /// be sent, the answer is as without it, and the log says so. What handlers and middleware
    /// answer is theirs, but for `recover`. A mounted router's page does not count.
    /// *Errors*: throws `std::invalid_argument` when `page` is empty.
    router& render_errors(error_page page);

    /// Lets `observer` be told of all that is asked, once it is over: of requests that a handler
    /// answered, and of those that never got to one, such as malformed and late ones, and of
    /// connections beyond the limits, which is what middleware does not see.
    ///
    ///     router.observe(http::log_exchanges(http::access_log_format::combined));
    ///     router.observe(metrics.observer());
    ///
    /// It is called by the workers, at the same time, from within their connections: it must not
    /// wait. A mounted router's observers do not count.
    /// *Errors*: throws `std::invalid_argument` when `observer` is empty.
    router& observe(exchange_observer observer);

    /// Puts a middleware around the routes that are added from now on, within those that were put
    /// there before, and around the answers to requests that match no route, see above.
    router& use(middleware around);

    /// Adds all routes of another router behind a prefix, such as `/api`, within this router's
    /// middleware; behind `/`, they are added as they are. Its route `/` is at `/api/`, and at
    /// `/api` where nothing else is. What the other one has around requests without a route is
    /// around those below the prefix; of several routers behind one prefix, the first one's.
    /// *Errors*: throws as `route` does; some of the routes may have been added then.
    router& mount(std::string_view prefix, router other);

    router& get(std::string_view pattern, handler function) {
        return route(method::get, pattern, std::move(function));
    }
    router& head(std::string_view pattern, handler function) {
        return route(method::head, pattern, std::move(function));
    }
    router& post(std::string_view pattern, handler function) {
        return route(method::post, pattern, std::move(function));
    }
    router& put(std::string_view pattern, handler function) {
        return route(method::put, pattern, std::move(function));
    }
    router& patch(std::string_view pattern, handler function) {
        return route(method::patch, pattern, std::move(function));
    }
    router& delete_(std::string_view pattern, handler function) {
        return route(method::delete_, pattern, std::move(function));
    }
    router& options(std::string_view pattern, handler function) {
        return route(method::options, pattern, std::move(function));
    }

    template <detail::checked_pattern Pattern>
    router& get(handler function) {
        return get(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& head(handler function) {
        return head(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& post(handler function) {
        return post(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& put(handler function) {
        return put(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& patch(handler function) {
        return patch(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& delete_(handler function) {
        return delete_(Pattern.view(), std::move(function));
    }
    template <detail::checked_pattern Pattern>
    router& options(handler function) {
        return options(Pattern.view(), std::move(function));
    }

    /// What `find` found.
    struct match {
        const handler* found = nullptr;  ///< Null when no route matches path and method.
        method_set allowed;              ///< The path's methods; empty when there is no such path.
        bool bad_path = false;           ///< The path is ambiguous: 400.
        bool wrong_type = false;  ///< A parameter's type is all that is wrong, and that is 400.
        /// Answers when nothing is found, within middleware; null when there is none around it.
        const handler* unmatched = nullptr;
    };

    /// Finds a route, and fills `params`. *Lifetime*: `params` refers to the router.
    [[nodiscard]] match find(method method, std::string_view path, path_params& params) const;
    /// Does so for a method by its name, also an extension.
    [[nodiscard]] match find(std::string_view method_name, std::string_view path,
                             path_params& params) const;
    /// Gives the methods without a value of their own that have a route somewhere.
    [[nodiscard]] const extension_methods& extensions() const noexcept;

    /// Gives the answer to a request that `find` has no handler for. Its `Allow` is without
    /// extension methods, which `error_answer` adds.
    [[nodiscard]] static response answer_unmatched(method method, const match& match);

    /// Gives the answer to a request that `find` has no handler for, as the error page has it.
    [[nodiscard]] response error_answer(request& request, const match& found) const;

    /// Gives the page for an error in the place of `plain`, which is the answer without one.
    /// *Errors*: throws what the page throws, and for a page that cannot be.
    /// *Requires*: `has_error_page()`.
    [[nodiscard]] response render(const refusal& refused, const response& plain) const;
    [[nodiscard]] bool has_error_page() const noexcept;

    /// Tells whether there is middleware around requests that match no route.
    [[nodiscard]] bool has_middleware() const noexcept { return !around_.empty(); }

    /// Tells whether somebody is to be told of exchanges.
    [[nodiscard]] bool has_observers() const noexcept { return !observers_.empty(); }
    /// Tells the observers. *Errors*: throws what one of them throws, when all were told.
    void tell(const exchange& what) const;

    /// Answers a request: what the server does with each one.
    task<response> handle(request& request) const;

private:
    [[nodiscard]] handler wrap(handler inner) const;

    std::unique_ptr<detail::route_tree> tree_;
    std::vector<std::shared_ptr<const middleware>> around_;  // The outermost first.
    std::vector<exchange_observer> observers_;
    // Answers what has no route, within the middleware. Null when there is none.
    std::shared_ptr<const handler> unmatched_;
};

}  // namespace heph::http
