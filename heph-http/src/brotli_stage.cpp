#include "brotli_stage.hpp"

#include <brotli/decode.h>

#include <cstdint>
#include <new>

namespace heph::http::detail {

namespace {

// The first bits say how large the window is (RFC 7932, 9.1); at most 7 of them, so that the first
// byte tells. The one value that it does not define is refused by the decoder.
std::size_t window_bytes(char first) noexcept {
    const unsigned bits = static_cast<unsigned char>(first);
    const unsigned upper = bits >> 1U & 7U;
    const unsigned lower = bits >> 4U & 7U;
    if ((bits & 1U) == 0) { return std::size_t{1} << 16U; }
    if (upper != 0) { return std::size_t{1} << (17 + upper); }
    return std::size_t{1} << (lower == 0 ? 17 : 8 + lower);
}

bool lacks_memory(BrotliDecoderErrorCode code) noexcept {
    return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
           code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

}  // namespace

brotli_stage::~brotli_stage() {
    if (decoder_ != nullptr) { BrotliDecoderDestroyInstance(decoder_); }
}

bool brotli_stage::begin(std::string_view& input) {
    if (window_bytes(input.front()) > window_bytes_max_) {
        state_ = state::too_costly;
        return true;
    }
    decoder_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    if (decoder_ == nullptr) { throw std::bad_alloc(); }
    state_ = state::running;
    return true;
}

void brotli_stage::run(std::string_view& input) {
    std::size_t left = input.size();
    const auto* from = reinterpret_cast<const std::uint8_t*>(input.data());
    std::size_t room = room_.size();
    auto* to = reinterpret_cast<std::uint8_t*>(room_.data());
    const auto result = BrotliDecoderDecompressStream(decoder_, &left, &from, &room, &to, nullptr);
    input.remove_prefix(input.size() - left);
    made_ = room_.size() - room;
    // It may ask for more input although it has more output.
    has_more_ = result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT ||
                BrotliDecoderHasMoreOutput(decoder_) == BROTLI_TRUE;
    if (result == BROTLI_DECODER_RESULT_SUCCESS) { state_ = state::done; }
    if (result != BROTLI_DECODER_RESULT_ERROR) { return; }
    if (lacks_memory(BrotliDecoderGetErrorCode(decoder_))) { throw std::bad_alloc(); }
    state_ = state::broken;
}

}  // namespace heph::http::detail
