// Feeds the content decoder any bytes, whole and cut at a place that the input names, and checks
// that the cut changes nothing and that what is given stays within the limits; then compresses the
// same bytes, and checks that they come back.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <brotli/encode.h>
#include <zlib.h>

#include <heph/http/content_decoder.hpp>

namespace {

namespace http = heph::http;
namespace h1 = heph::http::h1;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

constexpr std::array<std::string_view, 10> codings{
    "gzip",       "deflate", "gzip, deflate", "deflate, gzip", "gzip, gzip", "identity",
    "gzip, zstd", "br",      "gzip, br",      "br, gzip"};

http::decoding_limits limits_of(std::uint8_t choice) {
    http::decoding_limits limits;
    limits.bytes_max = (choice & 1U) != 0 ? 5'000 : 1'000'000;
    limits.ratio_free_bytes = (choice & 2U) != 0 ? 500 : 200'000;
    limits.ratio_max = (choice & 4U) != 0 ? 10 : 200;
    limits.window_bytes_max = (choice & 8U) != 0 ? 1U << 16U : 1U << 24U;
    return limits;
}

class reader {
public:
    reader(std::string_view coding, http::decoding_limits limits)
        : limits_(limits), decoder_(fields_of(coding), limits) {}

    void feed(std::string_view bytes) {
        received_ += bytes.size();
        while (failure == http::error{}) {
            const std::size_t before = bytes.size();
            const h1::event event = decoder_.next(bytes);
            require(bytes.size() <= before);
            if (event.kind == h1::event_kind::need_input) {
                require(bytes.empty());
                return;
            }
            note(event);
        }
    }
    void end() {
        if (failure == http::error{}) { note(decoder_.end_of_input()); }
    }

    std::string text;
    http::error failure{};
    bool ended = false;

private:
    static http::headers fields_of(std::string_view coding) {
        http::headers fields;
        fields.append("Content-Encoding", coding);
        return fields;
    }
    void note(const h1::event& event) {
        switch (event.kind) {
            case h1::event_kind::body:
                require(!event.data.empty());
                text += event.data;
                require(text.size() <= limits_.bytes_max);
                require(text.size() <= limits_.ratio_free_bytes ||
                        text.size() / limits_.ratio_max <= received_);
                return;
            case h1::event_kind::end: ended = true; return;
            case h1::event_kind::error:
                failure = event.failure;
                require(failure != http::error{});
                return;
            default: require(false);
        }
    }

    http::decoding_limits limits_;
    http::content_decoder decoder_;
    std::uint64_t received_ = 0;
};

std::string compress(std::string_view text, int window) {
    z_stream stream{};
    require(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

std::string compress_by_brotli(std::string_view text, int window_bits) {
    std::string out(BrotliEncoderMaxCompressedSize(text.size()) + 16, '\0');
    std::size_t size = out.size();
    require(BrotliEncoderCompress(4, window_bits, BROTLI_MODE_GENERIC, text.size(),
                                  reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                                  reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_TRUE);
    out.resize(size);
    return out;
}

void check_round_trip(std::string_view coding, std::string_view text, const std::string& bytes,
                      std::size_t cut) {
    http::decoding_limits limits;
    reader read(coding, limits);
    const std::size_t at = std::min(cut, bytes.size());
    read.feed(std::string_view(bytes).substr(0, at));
    read.feed(std::string_view(bytes).substr(at));
    read.end();
    require(read.ended && read.text == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) { return 0; }
    const std::string_view coding = codings[data[2] % codings.size()];
    const http::decoding_limits limits = limits_of(data[3]);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 4, size - 4);
    const std::size_t cut = (data[0] + std::size_t{256} * data[1]) % (bytes.size() + 1);
    reader whole(coding, limits);
    whole.feed(bytes);
    whole.end();
    reader parts(coding, limits);
    parts.feed(bytes.substr(0, cut));
    parts.feed(bytes.substr(cut));
    parts.end();
    // What is too much is refused by the piece, and pieces depend on the cut.
    const bool limited = whole.failure == http::error::decompression_bomb ||
                         parts.failure == http::error::decompression_bomb ||
                         whole.failure == http::error::body_too_large ||
                         parts.failure == http::error::body_too_large;
    // A mistake may take along what Brotli had not given yet.
    const bool loses = whole.failure == http::error::bad_content_encoding &&
                       whole.failure == parts.failure && coding.find("br") != coding.npos;
    if (limited || loses) {
        require(whole.text.starts_with(parts.text) || parts.text.starts_with(whole.text));
    } else {
        require(whole.failure == parts.failure && whole.text == parts.text);
    }
    check_round_trip("gzip", bytes, compress(bytes, 15 + 16), cut);
    check_round_trip("deflate", bytes, compress(bytes, 15), cut);
    check_round_trip("deflate", bytes, compress(bytes, -15), cut);
    check_round_trip("br", bytes, compress_by_brotli(bytes, 10 + data[3] % 15), cut);
    return 0;
}
