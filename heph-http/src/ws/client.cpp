#include <algorithm>
#include <memory>
#include <utility>

#include <heph/http/error.hpp>
#include <heph/http/ws/client.hpp>

#include "../base64.hpp"
#include "../random.hpp"
#include "session.hpp"

namespace heph::http::ws {

namespace {

using connected = std::expected<socket, std::error_code>;

constexpr std::size_t nonce_bytes = 16;

// The schemes of WebSocket are those of HTTP by other names (RFC 6455, 3).
std::string to_http(std::string_view url) {
    constexpr std::string_view scheme = "ws";
    if (url.size() > scheme.size() && equal_ignoring_case(url.substr(0, scheme.size()), scheme)) {
        return "http" + std::string(url.substr(scheme.size()));
    }
    return std::string(url);
}

client_request make_request(std::string_view url, std::string_view key,
                            const connect_options& options) {
    client_request asked(method::get, to_http(url));
    for (const header field : options.fields) { asked.headers().append(field.name, field.value); }
    asked.set_header("Upgrade", "websocket")
        .set_header("Sec-WebSocket-Version", "13")
        .set_header("Sec-WebSocket-Key", key);
    std::string names;
    for (const std::string& name : options.subprotocols) {
        if (!names.empty()) { names += ", "; }
        names += name;
    }
    if (!names.empty()) { asked.set_header("Sec-WebSocket-Protocol", names); }
    if (options.deflate) {
        asked.set_header("Sec-WebSocket-Extensions", deflate_offer(*options.deflate));
    }
    return asked;
}

/// What a server agreed to.
struct agreement {
    std::string subprotocol;
    std::optional<deflate_parameters> deflate;
};

// RFC 6455, 4.1: what the client has to check.
std::optional<agreement> read_answer(const client_response& answer, std::string_view key,
                                     const connect_options& options) {
    const headers& fields = answer.headers();
    if (answer.status() != status::switching_protocols ||
        !fields.has_token("Upgrade", "websocket") || !fields.has_token("Connection", "upgrade") ||
        fields.count("Sec-WebSocket-Accept") != 1 ||
        fields.get("Sec-WebSocket-Accept") != accept_key(key)) {
        return std::nullopt;
    }
    agreement agreed;
    if (const auto name = fields.get("Sec-WebSocket-Protocol")) {
        if (fields.count("Sec-WebSocket-Protocol") != 1 ||
            std::ranges::find(options.subprotocols, *name) == options.subprotocols.end()) {
            return std::nullopt;
        }
        agreed.subprotocol = *name;
    }
    if (!options.deflate) {
        if (fields.contains("Sec-WebSocket-Extensions")) { return std::nullopt; }
        return agreed;
    }
    const auto deflate = read_deflate_answer(fields, *options.deflate);
    if (!deflate) { return std::nullopt; }
    agreed.deflate = *deflate;
    return agreed;
}

task<connected> open(client through, client_request asked, std::string key,
                     connect_options options) {
    auto answer = co_await through.send(std::move(asked));
    if (!answer) { co_return connected(std::unexpect, answer.error()); }
    const auto agreed = read_answer(*answer, key, options);
    upgraded_stream* const stream = answer->upgraded();
    if (!agreed || stream == nullptr) {
        co_return connected(std::unexpect, make_error_code(error::bad_handshake));
    }
    auto session =
        std::make_unique<detail::session>(*stream, role::client, options.socket, agreed->deflate);
    auto owner = std::make_shared<client_response>(std::move(*answer));
    co_return connected(std::in_place, std::move(session), agreed->subprotocol, std::move(owner));
}

}  // namespace

task<connected> connect(client through, std::string_view url, connect_options options) {
    std::string key = http::detail::encode_base64(http::detail::random_bytes(nonce_bytes));
    client_request asked = make_request(url, key, options);
    return open(std::move(through), std::move(asked), std::move(key), std::move(options));
}

}  // namespace heph::http::ws
