#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <brotli/encode.h>
#include <zlib.h>

#include <catch2/catch.hpp>

namespace heph::http::test {

/// What compressed data is wrapped in, as zlib names it.
enum wrapping : int { gzip_wrapped = 15 + 16, zlib_wrapped = 15, unwrapped = -15 };

/// Compresses a text, by zlib and at once.
inline std::string compress(std::string_view text, wrapping how, gz_header* header = nullptr,
                            std::string_view dictionary = {}) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, how, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    if (header != nullptr) { REQUIRE(deflateSetHeader(&stream, header) == Z_OK); }
    const auto bytes = [](std::string_view from) {
        return reinterpret_cast<Bytef*>(const_cast<char*>(from.data()));
    };
    if (!dictionary.empty()) {
        REQUIRE(deflateSetDictionary(&stream, bytes(dictionary),
                                     static_cast<uInt>(dictionary.size())) == Z_OK);
    }
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 1000, '\0');
    stream.next_in = bytes(text);
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

inline std::string gzip(std::string_view text) { return compress(text, gzip_wrapped); }

inline std::string brotli(std::string_view text, int window_bits = 18, int quality = 5) {
    std::string out(BrotliEncoderMaxCompressedSize(text.size()) + 16, '\0');
    std::size_t size = out.size();
    REQUIRE(BrotliEncoderCompress(quality, window_bits, BROTLI_MODE_GENERIC, text.size(),
                                  reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                                  reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_TRUE);
    out.resize(size);
    return out;
}

}  // namespace heph::http::test
