// Plays any proxy to the client's side of SOCKS 5: what comes of it does not depend on how the
// answers are cut, nothing is sent but what RFC 1928 and 1929 have, and in that order.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "socks5.hpp"

namespace {

namespace http = heph::http;
using http::detail::socks5_action;
using http::detail::socks5_client;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

/// What was sent, and how it ended, as one text.
std::string play(std::string_view answers, std::size_t step, bool has_user) {
    auto machine =
        socks5_client::make(has_user ? "user" : "", has_user ? "secret" : "", "origin.test", 443);
    require(machine.has_value());
    std::string log;
    std::string_view input;
    for (;;) {
        switch (machine->next(input)) {
            case socks5_action::send:
                log += '>' + machine->take_output();
                require(log.back() != '>');
                continue;
            case socks5_action::receive:
                require(input.empty());
                if (answers.empty()) { return log + "|waits"; }
                input = answers.substr(0, step);
                answers.remove_prefix(input.size());
                continue;
            case socks5_action::connected:
                // What is left is the tunnel's.
                return log + "|connected " + std::to_string(input.size() + answers.size());
            case socks5_action::failed:
                require(machine->next(input) == socks5_action::failed);
                return log + "|" + std::string(message(machine->failure()));
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    const std::string_view answers(reinterpret_cast<const char*>(data) + 2, size - 2);
    const bool has_user = (data[0] & 1U) != 0;
    const std::string whole = play(answers, std::max<std::size_t>(answers.size(), 1), has_user);
    require(play(answers, 1U + data[1], has_user) == whole);
    require(play(answers, 1, has_user) == whole);
    require(whole.starts_with(has_user ? std::string_view(">\x05\x02\x00\x02", 5)
                                       : std::string_view(">\x05\x01\x00", 4)));
    require(has_user || whole.find("secret") == std::string::npos);
    return 0;
}
