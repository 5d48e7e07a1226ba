#include "zlib_inflate.hpp"

#include <new>

#include "zlib_deflate.hpp"

namespace heph::http::detail {

namespace {

constexpr int raw_window = -MAX_WBITS;
constexpr int zlib_window = MAX_WBITS;
constexpr int gzip_window = MAX_WBITS + 16;

unsigned byte_of(char c) noexcept { return static_cast<unsigned char>(c); }

// RFC 1950, 2.2: the method deflate, and a check over both bytes. Without the wrapping these would
// begin a stored block with padding that is not zero, which nobody writes.
bool may_begin_zlib(char first) noexcept { return (byte_of(first) & 0x0fU) == 8; }
bool is_zlib(char first, char second) noexcept {
    return (byte_of(first) * 256 + byte_of(second)) % 31 == 0;
}

}  // namespace

inflate_stage::~inflate_stage() {
    if (begun_) { (void)inflateEnd(&stream_); }
}

// Prepares for the data that begins here; false when it takes one byte more to know how.
bool inflate_stage::begin(std::string_view& input) {
    int window = gzip_window;
    if (coding_ == coding::deflate) {
        if (!held_) {
            first_ = input.front();
            input.remove_prefix(1);
            held_ = true;
        }
        window = raw_window;
        if (may_begin_zlib(first_)) {
            if (input.empty()) { return false; }
            if (is_zlib(first_, input.front())) { window = zlib_window; }
        }
    }
    const int result = begun_ ? inflateReset(&stream_) : inflateInit2(&stream_, window);
    if (result != Z_OK) { throw std::bad_alloc(); }
    begun_ = true;
    state_ = state::running;
    if (held_) {
        // Too little for any output.
        std::string_view first(&first_, 1);
        run(first);
    }
    return true;
}

void inflate_stage::run(std::string_view& input) {
    std::string_view rest = input;
    const std::string_view step = take_zlib_step(rest);
    stream_.next_in = zlib_bytes(step);
    stream_.avail_in = static_cast<uInt>(step.size());
    stream_.next_out = reinterpret_cast<Bytef*>(room_.data());
    stream_.avail_out = static_cast<uInt>(room_.size());
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) { throw std::bad_alloc(); }
    input.remove_prefix(step.size() - stream_.avail_in);
    made_ = room_.size() - stream_.avail_out;
    has_more_ = stream_.avail_out == 0;
    if (result == Z_STREAM_END) {
        // RFC 1952, 2.2: members follow one another, with nothing between them.
        state_ = coding_ == coding::gzip ? state::start : state::done;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        state_ = state::broken;
    }
}

}  // namespace heph::http::detail
