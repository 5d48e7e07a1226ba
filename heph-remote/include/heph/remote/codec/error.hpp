#pragma once

// What can be wrong with the bytes of a message.

#include <cstdint>
#include <string_view>

namespace heph::remote {

/// Says why bytes are not the message that was expected.
enum class codec_error : std::uint8_t {
    truncated,            ///< A declared length goes beyond the bytes that are there.
    wrong_type,           ///< Another kind of value than the field's type.
    out_of_range,         ///< A number that the field's type cannot hold.
    too_deep,             ///< Nested deeper than `decode_limits::depth_max`.
    too_large,            ///< Would take more memory than `decode_limits::memory_bytes_max`.
    trailing_bytes,       ///< Bytes follow the message.
    duplicate_key,        ///< A map has the same key twice.
    unknown_alternative,  ///< A variant holds a type that this program does not know.
    malformed,            ///< A byte that MessagePack does not use, or a missing discriminator.
    invalid_utf8,         ///< Text, in JSON, that is not UTF-8.
};

/// Says it in words.
[[nodiscard]] constexpr std::string_view to_string(codec_error error) noexcept {
    switch (error) {
        case codec_error::truncated: return "a declared length goes beyond the message";
        case codec_error::wrong_type: return "a field holds another kind of value";
        case codec_error::out_of_range: return "a number does not fit its field";
        case codec_error::too_deep: return "values are nested too deeply";
        case codec_error::too_large: return "the message would take too much memory";
        case codec_error::trailing_bytes: return "bytes follow the message";
        case codec_error::duplicate_key: return "a map has the same key twice";
        case codec_error::unknown_alternative: return "a variant holds an unknown type";
        case codec_error::invalid_utf8: return "the text is not UTF-8";
        case codec_error::malformed: break;
    }
    return "the bytes are not MessagePack";
}

}  // namespace heph::remote
