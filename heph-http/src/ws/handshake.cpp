#include <algorithm>

#include <heph/http/ws/handshake.hpp>

#include "../base64.hpp"
#include "../chars.hpp"
#include "../sha1.hpp"

namespace heph::http::ws {

namespace {

// RFC 6455, 1.3.
constexpr std::string_view handshake_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

constexpr std::size_t key_bytes = 16;

// Leaves the port out where it is the scheme's own.
std::string_view without_default_port(std::string_view authority, std::string_view scheme) {
    const std::string_view port = equal_ignoring_case(scheme, "https") ? ":443" : ":80";
    if (authority.ends_with(port)) { authority.remove_suffix(port.size()); }
    return authority;
}

}  // namespace

std::string accept_key(std::string_view key) {
    std::string text(key);
    text += handshake_guid;
    return http::detail::encode_base64(http::detail::sha1(text));
}

std::expected<std::string_view, handshake_error> read_handshake(const request_head& head) {
    const headers& fields = head.headers();
    const bool asked_for = head.method() == method::get && head.version() == version::http_1_1 &&
                           fields.has_token("connection", "upgrade") &&
                           fields.has_token("upgrade", "websocket");
    if (!asked_for) { return std::unexpected(handshake_error::not_asked_for); }
    if (fields.count("sec-websocket-version") != 1 || fields.get("sec-websocket-version") != "13") {
        return std::unexpected(handshake_error::wrong_version);
    }
    const auto key = fields.get("sec-websocket-key");
    const auto decoded = key && fields.count("sec-websocket-key") == 1
                             ? http::detail::decode_base64(*key)
                             : std::nullopt;
    if (!decoded || decoded->size() != key_bytes) {
        return std::unexpected(handshake_error::bad_key);
    }
    const bool has_body =
        head.framing() == body_framing::chunked || head.content_length().value_or(0) > 0;
    if (has_body) { return std::unexpected(handshake_error::has_body); }
    return *key;
}

bool is_same_origin(const request_head& head) {
    const std::size_t count = head.headers().count("origin");
    if (count == 0) { return true; }
    const std::string_view origin = *head.headers().get("origin");
    const std::size_t scheme_end = origin.find("://");
    // `null`, for one, is no site of ours.
    if (count > 1 || scheme_end == std::string_view::npos) { return false; }
    const std::string_view scheme = origin.substr(0, scheme_end);
    return equal_ignoring_case(without_default_port(origin.substr(scheme_end + 3), scheme),
                               without_default_port(head.authority(), scheme));
}

std::optional<std::string_view> choose_subprotocol(const headers& offered,
                                                   const std::vector<std::string>& ours) {
    for (const std::string& name : ours) {
        for (const header field : offered) {
            if (!equal_ignoring_case(field.name, "sec-websocket-protocol")) { continue; }
            std::string_view list = field.value;
            while (!list.empty()) {
                if (http::detail::next_element(list) == name) { return name; }
            }
        }
    }
    return std::nullopt;
}

}  // namespace heph::http::ws
