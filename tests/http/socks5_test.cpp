// The client's side of SOCKS 5, by what a proxy answers.

#include <cstddef>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "socks5.hpp"

namespace http = heph::http;
using http::detail::socks5_action;
using http::detail::socks5_client;
using namespace std::string_literals;

namespace {

/// Bytes as digits, such as "05 00".
std::string hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string made;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (!made.empty()) { made += ' '; }
        made += digits[byte >> 4U];
        made += digits[byte & 15U];
    }
    return made;
}

/// What comes of answers that are given `step` bytes at a time: what was sent, and how it ended.
std::string play(socks5_client machine, std::string_view answers, std::size_t step = 1) {
    std::string log;
    std::string_view input;
    for (;;) {
        switch (machine.next(input)) {
            case socks5_action::send: log += hex(machine.take_output()) + " | "; break;
            case socks5_action::receive:
                if (answers.empty()) { return log + "waits"; }
                input = answers.substr(0, step);
                answers.remove_prefix(input.size());
                break;
            case socks5_action::connected:
                return log + "connected, " + std::to_string(input.size() + answers.size()) +
                       " left";
            case socks5_action::failed: return log + std::string(message(machine.failure()));
        }
    }
}

socks5_client to_host(const std::string& host, std::string_view user = {},
                      std::string_view password = {}) {
    auto made = socks5_client::make(user, password, host, 0x1234);
    REQUIRE(made);
    return std::move(*made);
}

const std::string no_method_needed = "\x05\x00"s;
const std::string reply_v4 = "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34"s;

/// How it ends, whatever was sent.
std::string end_of(const socks5_client& machine, const std::string& answers) {
    const std::string ended = play(machine, answers);
    const std::string whole = play(machine, answers, 1000);
    CHECK(whole == ended);
    return ended.substr(ended.rfind("| ") + 2);
}

std::string text_of(http::error value) { return std::string(message(value)); }

}  // namespace

TEST_CASE("socks5: a host is named by its address, or by its name", "[http][socks5]") {
    const std::string opening = "05 01 00 | ";
    const std::string end = " 12 34 | connected, 0 left";
    const std::string answers = no_method_needed + reply_v4;
    CHECK(play(to_host("127.0.0.1"), answers) == opening + "05 01 00 01 7f 00 00 01" + end);
    CHECK(play(to_host("2001:db8::1"), answers) ==
          opening + "05 01 00 04 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01" + end);
    CHECK(play(to_host("a.test"), answers) == opening + "05 01 00 03 06 61 2e 74 65 73 74" + end);
    // No address, though it looks like one to some.
    CHECK(play(to_host("127.1"), answers) == opening + "05 01 00 03 05 31 32 37 2e 31" + end);
    CHECK(play(to_host(std::string(255, 'x')), answers).find("05 01 00 03 ff 78 78") !=
          std::string::npos);
}

TEST_CASE("socks5: who we are is told only to a proxy that asks for it", "[http][socks5]") {
    const std::string told = "05 02 00 02 | 01 02 6d 65 03 6b 65 79 | ";
    const std::string request = "05 01 00 03 01 61 12 34 | ";
    CHECK(play(to_host("a", "me", "key"), "\x05\x02\x01\x00"s + reply_v4) ==
          told + request + "connected, 0 left");
    CHECK(play(to_host("a", "me", "key"), no_method_needed + reply_v4) ==
          "05 02 00 02 | " + request + "connected, 0 left");
    CHECK(play(to_host("a", "me"), "\x05\x02"s) == "05 02 00 02 | 01 02 6d 65 00 | waits");
    // Some have the version of SOCKS where that of the authentication belongs.
    CHECK(play(to_host("a", "me", "key"), "\x05\x02\x05\x00"s + reply_v4) ==
          told + request + "connected, 0 left");
    const std::string who = text_of(http::error::proxy_authentication_required);
    CHECK(play(to_host("a", "me", "key"), "\x05\x02\x01\x01"s) == told + who);
    CHECK(play(to_host("a", "me", "key"), "\x05\xff"s) == "05 02 00 02 | " + who);
    CHECK(play(to_host("a"), "\x05\xff"s) == "05 01 00 | " + who);
    // What was not offered cannot be chosen.
    const std::string bad = text_of(http::error::bad_socks_answer);
    CHECK(play(to_host("a"), "\x05\x02"s) == "05 01 00 | " + bad);
    CHECK(play(to_host("a", "me", "key"), "\x05\x01"s) == "05 02 00 02 | " + bad);
}

TEST_CASE("socks5: an answer is read to its end and no further", "[http][socks5]") {
    const socks5_client machine = to_host("a");
    const std::string ok = no_method_needed + "\x05\x00\x00"s;
    CHECK(end_of(machine, ok + "\x01\x01\x02\x03\x04\x12\x34"s + "left") == "connected, 4 left");
    CHECK(end_of(machine, ok + "\x04"s + std::string(16, 'a') + "\x12\x34"s + "left") ==
          "connected, 4 left");
    CHECK(end_of(machine, ok + "\x03\x04host\x12\x34"s + "left") == "connected, 4 left");
    CHECK(end_of(machine, ok + "\x03\x00\x12\x34"s + "left") == "connected, 4 left");
    CHECK(end_of(machine, ok + "\x03\xff"s + std::string(255, 'a') + "\x12\x34"s) ==
          "connected, 0 left");
    // Cut anywhere, it waits.
    for (std::size_t size = 0; size < no_method_needed.size() + reply_v4.size(); ++size) {
        CAPTURE(size);
        CHECK(end_of(machine, (no_method_needed + reply_v4).substr(0, size)) == "waits");
    }
}

TEST_CASE("socks5: each refusal is an error of its own", "[http][socks5]") {
    struct sample {
        char reply;
        http::error means;
    };
    for (const auto& [reply, means] : {
             sample{1, http::error::socks_failed},
             {2, http::error::socks_not_allowed},
             {3, http::error::socks_network_unreachable},
             {4, http::error::socks_host_unreachable},
             {5, http::error::socks_connection_refused},
             {6, http::error::socks_ttl_expired},
             {7, http::error::socks_command_unsupported},
             {8, http::error::socks_address_unsupported},
             {9, http::error::socks_failed},
             {'\xff', http::error::socks_failed},
         }) {
        CAPTURE(static_cast<int>(reply));
        // With an address, and without, as some proxies send it.
        const std::string refusal = no_method_needed + "\x05" + reply;
        CHECK(end_of(to_host("a"), refusal) == text_of(means));
        CHECK(end_of(to_host("a"), refusal + "\x00\x01\x00\x00\x00\x00\x00\x00"s) ==
              text_of(means));
    }
}

TEST_CASE("socks5: what is no SOCKS 5 is refused", "[http][socks5]") {
    const std::string bad = text_of(http::error::bad_socks_answer);
    for (const std::string& answers :
         {"HTTP/1.1 400 Bad Request\r\n"s, "\x04\x00"s, "\x00\x5a"s, "\x05\x03"s,
          no_method_needed + "\x04\x00"s, no_method_needed + "\x05\x00\x00\x02xx"s,
          no_method_needed + "\x05\x00\x00\x00xx"s}) {
        CAPTURE(hex(answers));
        CHECK(end_of(to_host("a"), answers) == bad);
    }
}

TEST_CASE("socks5: what does not fit is not sent", "[http][socks5]") {
    const std::string long_text(256, 'x');
    for (const auto& made :
         {socks5_client::make("", "", long_text, 80), socks5_client::make("", "", "", 80),
          socks5_client::make(long_text, "", "a", 80),
          socks5_client::make("a", long_text, "a", 80)}) {
        REQUIRE_FALSE(made);
        CHECK(made.error() == http::error::bad_outgoing_request);
    }
}
