// Decodes any bytes into a struct with one member of each kind, and checks that what was decoded
// encodes to bytes that mean the same, and that no more memory is taken than the limits allow.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/message.hpp>

namespace {

enum class colour : std::uint8_t { red, green };

struct leaf {
    std::int16_t number = 0;
    std::string text;
};
HEPH_MESSAGE(leaf, "fuzz.leaf", 1, number, text)

struct tree {
    bool flag = false;
    std::int8_t small = 0;
    std::uint64_t large = 0;
    std::int64_t negative = 0;
    float single = 0;
    double real = 0;
    colour shade = colour::red;
    std::string text;
    std::vector<std::byte> bytes;
    leaf inner;
    std::vector<leaf> leaves;
    std::optional<std::string> maybe;
    std::map<std::string, std::uint32_t> counts;
    std::variant<leaf, std::string> either;
    std::vector<std::vector<std::uint8_t>> nested;
};
HEPH_MESSAGE(tree, "fuzz.tree", 1, flag, small, large, negative, single, real, shade, text, bytes,
             inner, leaves, maybe, counts, either, nested)

void require(bool condition) {
    if (!condition) { std::abort(); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    heph::remote::decode_limits limits;
    limits.memory_bytes_max = 1024 * 1024;
    const auto first = heph::remote::decode<tree>(bytes, limits);
    if (!first) { return 0; }
    require(first->text.size() <= size && first->bytes.size() <= size);
    require(first->leaves.size() <= size && first->counts.size() <= size);
    const auto encoded = heph::remote::encode(*first);
    const auto second = heph::remote::decode<tree>(encoded, limits);
    require(second.has_value());
    // By bytes: a NaN is not equal to itself.
    require(heph::remote::encode(*second) == encoded);
    return 0;
}
