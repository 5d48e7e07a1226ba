// Decodes any text into the struct of `kinds.hpp`, and checks that what was decoded is written as
// a text that means the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <heph/remote/codec/json.hpp>

#include "kinds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto limits = fuzz_kinds::limits();
    const auto first = heph::remote::from_json<fuzz_kinds::tree>(text, limits);
    if (!first) {
        fuzz_kinds::require(first.error().offset() <= size && !first.error().message().empty());
        return 0;
    }
    fuzz_kinds::require(first->text.size() <= size && first->bytes.size() <= size);
    fuzz_kinds::require(first->leaves.size() <= size && first->counts.size() <= size);
    const auto written = heph::remote::to_json(*first);
    const auto second = heph::remote::from_json<fuzz_kinds::tree>(written, limits);
    fuzz_kinds::require(second.has_value());
    fuzz_kinds::require(heph::remote::to_json(*second) == written);
    return 0;
}
