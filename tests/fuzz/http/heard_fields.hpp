#pragma once

// What the fuzzers of both parsers check and note of fields.

#include <cstdlib>
#include <string>

#include <heph/http/headers.hpp>

namespace heph::fuzz {

inline void require(bool condition) {
    if (!condition) { std::abort(); }
}

/// Appends fields to what was heard. They have to be such as can be sent on.
inline void hear_fields(const http::headers& fields, std::string& heard) {
    for (const http::header field : fields) {
        require(http::is_token(field.name));
        require(http::is_field_value(field.value));
        heard += field.name;
        heard += field.value;
    }
}

/// Does so with trailers, which must not say where a message ends.
inline void hear_trailers(const http::headers& trailers, std::string& heard) {
    hear_fields(trailers, heard);
    for (const http::header field : trailers) {
        require(!http::equal_ignoring_case(field.name, "content-length"));
    }
}

}  // namespace heph::fuzz
