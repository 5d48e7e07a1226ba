// Decodes any bytes into the struct of `kinds.hpp`, and checks that what was decoded
// encodes to bytes that mean the same, and that no more memory is taken than the limits allow.

#include <cstddef>
#include <cstdint>
#include <span>

#include <heph/remote/codec/codec.hpp>

#include "kinds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto limits = fuzz_kinds::limits();
    const auto first = heph::remote::decode<fuzz_kinds::tree>(bytes, limits);
    if (!first) { return 0; }
    fuzz_kinds::require(first->text.size() <= size && first->bytes.size() <= size);
    fuzz_kinds::require(first->leaves.size() <= size && first->counts.size() <= size);
    const auto encoded = heph::remote::encode(*first);
    const auto second = heph::remote::decode<fuzz_kinds::tree>(encoded, limits);
    fuzz_kinds::require(second.has_value());
    // By bytes: a NaN is not equal to itself.
    fuzz_kinds::require(heph::remote::encode(*second) == encoded);
    return 0;
}
