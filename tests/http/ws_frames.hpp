#pragma once

// Feeding a WebSocket decoder, and saying what it told.

#include <cstddef>
#include <string>
#include <string_view>

#include <heph/http/ws/decoder.hpp>

namespace heph::http::test {

/// Writes what a decoder tells of `bytes` as one line: `text:abc ping:1 close:1000:bye`. It is
/// given `step` bytes at a time.
inline std::string decode(ws::decoder& reader, std::string_view bytes, std::size_t step) {
    std::string told;
    const auto tell = [&told](std::string_view what) {
        if (!told.empty()) { told += ' '; }
        told += what;
    };
    while (!bytes.empty()) {
        std::string_view input = bytes.substr(0, step);
        bytes.remove_prefix(input.size());
        for (;;) {
            const ws::event found = reader.next(input);
            if (found.kind == ws::event_kind::need_input) { break; }
            const std::string data(found.data);
            const std::string code = std::to_string(static_cast<unsigned>(found.code));
            switch (found.kind) {
                case ws::event_kind::message: {
                    const ws::message got = reader.take_message();
                    tell((got.is_text() ? "text:" : "binary:") + got.payload());
                    break;
                }
                case ws::event_kind::ping: tell("ping:" + data); break;
                case ws::event_kind::pong: tell("pong:" + data); break;
                case ws::event_kind::close: tell("close:" + code + ":" + data); break;
                default: tell("error:" + code); return told;
            }
        }
    }
    return told;
}

}  // namespace heph::http::test
