#include "brotli_writer.hpp"

#include <brotli/encode.h>

#include <bit>
#include <cstdint>
#include <new>

namespace heph::http::detail {

namespace {

constexpr unsigned window_bits_max = 18;

unsigned window_bits(std::optional<std::size_t> size) noexcept {
    if (!size || *size >= (std::size_t{1} << window_bits_max)) { return window_bits_max; }
    const auto needed = static_cast<unsigned>(std::bit_width(*size));
    return needed < BROTLI_MIN_WINDOW_BITS ? BROTLI_MIN_WINDOW_BITS : needed;
}

}  // namespace

brotli_writer::brotli_writer(int quality, std::optional<std::size_t> size)
    : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) { throw std::bad_alloc(); }
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, static_cast<std::uint32_t>(quality));
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, window_bits(size));
    if (size && *size <= UINT32_MAX) {
        BrotliEncoderSetParameter(state_, BROTLI_PARAM_SIZE_HINT,
                                  static_cast<std::uint32_t>(*size));
    }
}

brotli_writer::~brotli_writer() { BrotliEncoderDestroyInstance(state_); }

void brotli_writer::add(std::string_view piece, std::string& out) {
    run(BROTLI_OPERATION_FLUSH, piece, out);
}

void brotli_writer::end(std::string_view piece, std::string& out) {
    run(BROTLI_OPERATION_FINISH, piece, out);
}

void brotli_writer::run(int operation, std::string_view piece, std::string& out) {
    const auto* input = reinterpret_cast<const std::uint8_t*>(piece.data());
    std::size_t left = piece.size();
    std::size_t size = 0;
    // A call may end with output before it has flushed what it has taken: only one without any has.
    do {
        std::size_t no_room = 0;
        // It fails for a lack of memory only, and then stays so.
        if (BrotliEncoderCompressStream(state_, static_cast<BrotliEncoderOperation>(operation),
                                        &left, &input, &no_room, nullptr,
                                        nullptr) == BROTLI_FALSE) {
            throw std::bad_alloc();
        }
        size = 0;
        const std::uint8_t* made = BrotliEncoderTakeOutput(state_, &size);
        out.append(reinterpret_cast<const char*>(made), size);
    } while (
        left != 0 || size != 0 || BrotliEncoderHasMoreOutput(state_) == BROTLI_TRUE ||
        (operation == BROTLI_OPERATION_FINISH && BrotliEncoderIsFinished(state_) == BROTLI_FALSE));
}

}  // namespace heph::http::detail
