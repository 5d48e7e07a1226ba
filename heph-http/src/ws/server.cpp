#include <exception>
#include <memory>
#include <utility>

#include <heph/http/ws/actor.hpp>
#include <heph/http/ws/server.hpp>
#include <heph/rt/detail/process.hpp>

#include "session.hpp"

namespace heph::http::ws {

namespace {

response refuse(handshake_error why) {
    switch (why) {
        case handshake_error::bad_key:
            return response::problem(status::bad_request,
                                     "The Sec-WebSocket-Key is not 16 bytes in base64.");
        case handshake_error::has_body:
            return response::problem(status::bad_request, "A WebSocket handshake has no body.");
        case handshake_error::origin_not_allowed:
            return response::problem(status::forbidden,
                                     "Pages of this origin may not connect here.");
        default: break;
    }
    response answer = response::problem(
        status::upgrade_required, "There is a WebSocket here, of version 13, and nothing else.");
    answer.set_header("Upgrade", "websocket").set_header("Sec-WebSocket-Version", "13");
    return answer;
}

bool allows_origin(const request& asked, const accept_options& options) {
    if (!options.allows_origin) { return is_same_origin(asked.head()); }
    const std::size_t count = asked.headers().count("Origin");
    if (count == 0) { return true; }
    return count == 1 && options.allows_origin(asked, *asked.header("Origin"));
}

/// What a session needs, from the handshake on.
struct accepted {
    session_function session;
    socket_options options;
    std::optional<deflate_parameters> deflate;
    std::string subprotocol;
};

task<void> run(accepted* agreed, upgraded_stream* stream) {
    socket opened(
        std::make_unique<detail::session>(*stream, role::server, agreed->options, agreed->deflate),
        agreed->subprotocol);
    std::exception_ptr failure;
    try {
        co_await agreed->session(opened);
    } catch (...) { failure = std::current_exception(); }
    auto closing = opened.close(failure ? close_code::internal_error : close_code::normal);
    co_await closing;
    if (failure) { std::rethrow_exception(std::move(failure)); }
}

}  // namespace

rt::worker detail::this_worker() { return rt::worker(*rt::detail::current_worker()); }

response accept(const request& asked, session_function session, accept_options options) {
    const auto key = read_handshake(asked.head());
    if (!key) { return refuse(key.error()); }
    if (!allows_origin(asked, options)) { return refuse(handshake_error::origin_not_allowed); }
    auto agreed = std::make_unique<accepted>();
    const auto subprotocol = choose_subprotocol(asked.headers(), options.subprotocols);
    std::optional<deflate_agreement> deflate;
    if (options.deflate) { deflate = agree_on_deflate(asked.headers(), *options.deflate); }
    agreed->session = std::move(session);
    agreed->options = std::move(options.socket);
    if (subprotocol) { agreed->subprotocol = *subprotocol; }
    if (deflate) { agreed->deflate = deflate->parameters; }
    response answer =
        response::upgrade("websocket", [agreed = std::move(agreed)](upgraded_stream& stream) {
            return run(agreed.get(), &stream);
        });
    answer.set_header("Sec-WebSocket-Accept", accept_key(*key));
    if (subprotocol) { answer.set_header("Sec-WebSocket-Protocol", *subprotocol); }
    if (deflate) { answer.set_header("Sec-WebSocket-Extensions", deflate->field); }
    return answer;
}

}  // namespace heph::http::ws
