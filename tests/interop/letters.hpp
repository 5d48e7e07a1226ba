#pragma once

#include <cstddef>
#include <string>

namespace heph::interop {

/// Gives the first `size` letters of "abc…zabc…": what both programs send, and the script expects.
inline std::string letters(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) { text[i] = static_cast<char>('a' + i % 26); }
    return text;
}

}  // namespace heph::interop
