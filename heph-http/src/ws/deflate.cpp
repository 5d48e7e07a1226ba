#include "deflate.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "../zlib_deflate.hpp"

namespace heph::http::ws::detail {

namespace {

// What the sender leaves out at a message's end.
constexpr std::string_view tail("\x00\x00\xff\xff", 4);

constexpr std::size_t step_bytes = 16 * 1024;
constexpr auto unlimited = static_cast<std::size_t>(-1);

}  // namespace

inflater::~inflater() {
    if (begun_) { (void)inflateEnd(&stream_); }
}

inflater::outcome inflater::add(std::string_view& bytes, std::string& out, std::size_t size_max,
                                std::size_t slice) {
    if (!begun_) {
        if (inflateInit2(&stream_, -window_bits_) != Z_OK) { throw std::bad_alloc(); }
        begun_ = true;
    }
    fed_ = true;
    const std::size_t before = out.size();
    std::array<char, step_bytes> step;
    while (!bytes.empty() || full_) {
        if (out.size() - before >= slice) { return outcome::more; }
        std::string_view rest = bytes;
        const std::string_view input = http::detail::take_zlib_step(rest);
        stream_.next_in = http::detail::zlib_bytes(input);
        stream_.avail_in = static_cast<uInt>(input.size());
        if (ended_ && !begin_again()) { return outcome::broken; }
        stream_.next_out = reinterpret_cast<Bytef*>(step.data());
        stream_.avail_out = static_cast<uInt>(step.size());
        const int result = ::inflate(&stream_, Z_SYNC_FLUSH);
        if (result == Z_MEM_ERROR) { throw std::bad_alloc(); }
        ended_ = result == Z_STREAM_END;
        full_ = stream_.avail_out == 0 && result != Z_STREAM_END;
        bytes.remove_prefix(input.size() - stream_.avail_in);
        const std::size_t made = step.size() - stream_.avail_out;
        const std::size_t room = size_max - out.size();
        out.append(step.data(), std::min(made, room));
        if (made > room) { return outcome::too_big; }
        if (result == Z_BUF_ERROR) {
            // It could do nothing: there is no more output, or no input that it could use.
            full_ = false;
            if (!input.empty()) { return outcome::broken; }
        } else if (result != Z_OK && result != Z_STREAM_END) {
            return outcome::broken;
        }
    }
    return outcome::good;
}

inflater::outcome inflater::end(std::string& out, std::size_t size_max) {
    // Even nothing is compressed to a byte.
    if (!std::exchange(fed_, false)) { return outcome::broken; }
    // Behind a last block the tail would be read as the beginning of another stream.
    std::string_view rest = tail;
    const outcome ended = ended_ ? outcome::good : add(rest, out, size_max, unlimited);
    fed_ = false;
    if (ended == outcome::good && forgets_ && inflateReset(&stream_) != Z_OK) {
        return outcome::broken;
    }
    if (forgets_) { ended_ = false; }
    return ended;
}

// A sender may end a message by a last block; what follows may still refer to what was before.
bool inflater::begin_again() noexcept {
    ended_ = false;
    std::array<Bytef, 32 * 1024> window;
    uInt size = 0;
    return inflateGetDictionary(&stream_, window.data(), &size) == Z_OK &&
           inflateReset(&stream_) == Z_OK &&
           inflateSetDictionary(&stream_, window.data(), size) == Z_OK;
}

deflater::~deflater() {
    if (begun_) { (void)deflateEnd(&stream_); }
}

std::string deflater::message(std::string_view text) {
    if (!begun_) {
        constexpr int memory_level = 8;
        if (deflateInit2(&stream_, level_, Z_DEFLATED, -window_bits_, memory_level,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            throw std::bad_alloc();
        }
        begun_ = true;
    }
    std::string out;
    http::detail::deflate_all(stream_, text, Z_SYNC_FLUSH, out);
    if (out.ends_with(tail)) { out.resize(out.size() - tail.size()); }
    if (out.empty()) { out += '\0'; }  // An empty block: a frame of nothing is none (7.2.3.6).
    if (forgets_) { (void)deflateReset(&stream_); }
    return out;
}

}  // namespace heph::http::ws::detail
