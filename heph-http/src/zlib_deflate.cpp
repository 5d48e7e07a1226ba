#include "zlib_deflate.hpp"

#include <array>
#include <limits>
#include <new>

namespace heph::http::detail {

namespace {

constexpr std::size_t step_bytes = 16 * 1024;

}  // namespace

Bytef* zlib_bytes(std::string_view text) noexcept {
    return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

std::string_view take_zlib_step(std::string_view& text) noexcept {
    const std::string_view step = text.substr(0, std::numeric_limits<uInt>::max());
    text.remove_prefix(step.size());
    return step;
}

void deflate_all(z_stream& stream, std::string_view text, int flush, std::string& out) {
    std::array<char, step_bytes> step;
    do {
        const std::string_view input = take_zlib_step(text);
        stream.next_in = zlib_bytes(input);
        stream.avail_in = static_cast<uInt>(input.size());
        do {
            stream.next_out = reinterpret_cast<Bytef*>(step.data());
            stream.avail_out = static_cast<uInt>(step.size());
            (void)::deflate(&stream, text.empty() ? flush : Z_NO_FLUSH);
            out.append(step.data(), step.size() - stream.avail_out);
        } while (stream.avail_out == 0);
    } while (!text.empty());
}

gzip_writer::gzip_writer(int level) {
    constexpr int gzip_window_bits = 15 + 16;
    constexpr int memory_level = 8;
    if (deflateInit2(&stream_, level, Z_DEFLATED, gzip_window_bits, memory_level,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        throw std::bad_alloc();
    }
}

gzip_writer::~gzip_writer() { (void)deflateEnd(&stream_); }

}  // namespace heph::http::detail
