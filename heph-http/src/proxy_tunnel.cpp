#include "proxy_tunnel.hpp"

#include <expected>
#include <optional>
#include <string_view>
#include <utility>

#include <heph/http/h1/response_parser.hpp>
#include <heph/http/response_head.hpp>
#include <heph/rt/buffer.hpp>

#include "h1/field_writer.hpp"
#include "socks5.hpp"

namespace heph::http::detail {

namespace {

// The port is always named here (RFC 9112, 3.2.3).
std::expected<std::string, error> connect_request(const proxy& through, const url& to,
                                                  const std::string& user_agent) {
    const std::string host = to.origin().substr(to.scheme.size() + 3);
    std::string out = "CONNECT " + host + " HTTP/1.1\r\n";
    bool good = h1::append_field(out, "Host", host);
    if (!user_agent.empty()) { good = good && h1::append_field(out, "User-Agent", user_agent); }
    if (!through.authorization().empty()) {
        good = good && h1::append_field(out, "Proxy-Authorization", through.authorization());
    }
    if (!good) { return std::unexpected(error::bad_outgoing_request); }
    out += "\r\n";
    return out;
}

/// What an answer to CONNECT comes to, once its head is there.
error judge(const response_head& answer) noexcept {
    return answer.status() == status::proxy_authentication_required
               ? error::proxy_authentication_required
               : error::proxy_refused;
}

/// Reads on; gives nothing while more input is needed.
std::optional<std::error_code> read_answer(h1::response_parser& parser, response_head& answer,
                                           std::string_view input) {
    for (;;) {
        const h1::event event = parser.next(input, answer);
        if (event.kind == h1::event_kind::need_input) { return {}; }
        if (event.kind == h1::event_kind::error) { return make_error_code(event.failure); }
        const unsigned told = code(answer.status());
        // There are no other protocols to switch to here, and so no 101.
        if (told < 200 && answer.framing() != response_framing::tunnel) { continue; }
        if (told < 200 || told >= 300) { return make_error_code(judge(answer)); }
        // Nobody at the other end has been asked anything yet.
        return input.empty() ? std::error_code() : make_error_code(error::proxy_refused);
    }
}

}  // namespace

task<std::error_code> open_tunnel(peer_stream& over, const proxy& through, const url& to,
                                  const client_options& options) {
    const auto asked = connect_request(through, to, options.user_agent);
    if (!asked) { co_return make_error_code(asked.error()); }
    auto bytes = rt::buffer::copy_of(*asked);
    const auto sent = co_await over.send_all(std::move(bytes));
    if (!sent) { co_return sent.error(); }
    h1::response_parser parser(options.limits);
    parser.begin(method::connect);
    response_head answer;
    for (;;) {
        const auto received = co_await over.next();
        if (!received) { co_return received.error(); }
        if (received->empty()) { co_return make_error_code(error::connection_lost); }
        const auto done = read_answer(parser, answer, received->view());
        if (done) { co_return *done; }
    }
}

task<std::error_code> open_socks_tunnel(peer_stream& over, const proxy& through,
                                        const std::string& host, std::uint16_t port) {
    auto machine = socks5_client::make(through.user(), through.password(), host, port);
    if (!machine) { co_return make_error_code(machine.error()); }
    rt::net::chunk received;
    std::string_view input;
    for (;;) {
        switch (machine->next(input)) {
            case socks5_action::send: {
                auto bytes = rt::buffer::copy_of(machine->take_output());
                const auto sent = co_await over.send_all(std::move(bytes));
                if (!sent) { co_return sent.error(); }
                break;
            }
            case socks5_action::receive: {
                auto next = co_await over.next();
                if (!next) { co_return next.error(); }
                if (next->empty()) { co_return make_error_code(error::connection_lost); }
                received = std::move(*next);
                input = received.view();
                break;
            }
            case socks5_action::failed: co_return make_error_code(machine->failure());
            case socks5_action::connected:
                // No host speaks first here, so that it cannot be the host's.
                if (!input.empty()) { co_return make_error_code(error::bad_socks_answer); }
                co_return std::error_code();
        }
    }
}

}  // namespace heph::http::detail
