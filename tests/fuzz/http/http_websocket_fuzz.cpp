// Feeds any bytes to WebSocket decoders, whole and cut up, and checks what has to hold of all that
// they tell: that it does not depend on the cuts, and that what is written again reads the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <heph/http/ws/decoder.hpp>
#include <heph/http/ws/encoder.hpp>
#include <heph/http/ws/utf8_validator.hpp>

namespace {

namespace ws = heph::http::ws;

constexpr std::size_t message_bytes_max = 64 * 1024;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

/// How a run is set up, from the first byte of the input.
struct setup {
    explicit setup(std::uint8_t bits) noexcept
        : receiver((bits & 1U) != 0 ? ws::role::client : ws::role::server) {
        if ((bits & 2U) != 0) {
            deflate.emplace();
            deflate->client_no_context_takeover = (bits & 4U) != 0;
            deflate->server_no_context_takeover = (bits & 4U) != 0;
            deflate->client_max_window_bits = (bits & 8U) != 0 ? 9 : 15;
            deflate->server_max_window_bits = (bits & 8U) != 0 ? 9 : 15;
        }
        bounds.frame_bytes_max = message_bytes_max;
        bounds.message_bytes_max = message_bytes_max;
    }

    [[nodiscard]] bool has_small_window() const noexcept {
        return deflate && deflate->client_max_window_bits < 15;
    }

    ws::role receiver;
    ws::limits bounds;
    std::optional<ws::deflate_parameters> deflate;
};

/// Checks one message, or a reason, that a decoder gave.
void check_text(std::string_view text) {
    ws::utf8_validator valid;
    require(valid.feed(text) && valid.is_complete());
}

/// Writes what a decoder tells, as bytes that tell everything apart; and what it told by an
/// encoder, to be read again.
struct listener {
    explicit listener(const setup& how)
        : writer(how.receiver == ws::role::client ? ws::role::server : ws::role::client, {},
                 how.deflate) {}

    void add(ws::decoder& reader, const ws::event& found) {
        told += static_cast<char>('0' + static_cast<int>(found.kind));
        told += std::to_string(static_cast<unsigned>(found.code)) + ":";
        told += std::to_string(found.data.size()) + ":";
        told += found.data;
        if (found.kind == ws::event_kind::message) {
            const ws::message got = reader.take_message();
            require(got.payload().size() <= message_bytes_max);
            if (got.is_text()) { check_text(got.payload()); }
            writer.message(written, got.kind(), got.payload());
        } else if (found.kind == ws::event_kind::ping) {
            writer.ping(written, found.data);
        } else if (found.kind == ws::event_kind::pong) {
            writer.pong(written, found.data);
        } else if (found.kind == ws::event_kind::close) {
            check_text(found.data);
            writer.close(written, found.code, found.data);
        }
    }

    ws::encoder writer;
    std::string told;
    std::string written;
    bool failed = false;
    bool broken = false;  // By what was to be decompressed.
};

listener listen(const setup& how, std::string_view bytes, std::size_t step, bool by_slices) {
    listener heard(how);
    ws::decoder reader(how.receiver, how.bounds, how.deflate);
    while (!bytes.empty() && !heard.failed) {
        std::string_view input = bytes.substr(0, step);
        bytes.remove_prefix(input.size());
        for (;;) {
            // Where a call ends that decompresses is no matter of what was sent.
            const ws::event found = by_slices ? reader.next_slice(input) : reader.next(input);
            if (by_slices && found.kind == ws::event_kind::busy) { continue; }
            if (found.kind == ws::event_kind::need_input) {
                require(input.empty());
                break;
            }
            heard.failed = found.kind == ws::event_kind::error;
            heard.broken = heard.failed && found.data == "compressed data is broken";
            heard.add(reader, found);
            if (heard.failed) { break; }
        }
    }
    return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    const setup how(data[0]);
    const std::size_t step = 1 + (data[0] >> 4U);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const listener whole = listen(how, bytes, bytes.size(), false);
    const listener cut = listen(how, bytes, step, true);
    // A peer that refers to more than the window it promised: zlib still has what it wrote in the
    // same call, so that it notices or not by the cuts.
    if (how.has_small_window() && (whole.broken || cut.broken)) { return 0; }
    require(whole.told == cut.told);
    if (!whole.failed) {
        const listener again = listen(how, whole.written, whole.written.size(), true);
        require(again.told == whole.told);
    }
    return 0;
}
