#pragma once

// A struct with one member of each kind that a message may have.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/message.hpp>

namespace fuzz_kinds {

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

inline void require(bool condition) {
    if (!condition) { std::abort(); }
}

inline heph::remote::decode_limits limits() {
    heph::remote::decode_limits made;
    made.memory_bytes_max = 1024 * 1024;
    return made;
}

}  // namespace fuzz_kinds
