#pragma once

#include <cstddef>
#include <expected>

#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>

namespace heph::http::h1 {

/// Finds the fields in the text of a head, which is complete and has passed the checks of its
/// lines. Knows nothing of what they mean.
class field_reader {
public:
    /// Tells how the head begins, of which llhttp wants to know. It takes no method that it does
    /// not know: of a request with such a one it sees another line in the place of the first.
    enum class message { request, extension, response };

    /// Fills the fields of `head` from its text.
    /// *Errors*: `too_many_headers`, and what llhttp refuses of lengths and values.
    static std::expected<void, error> read(headers& head, message kind, std::size_t headers_max);

private:
    struct callbacks;

    static void blank_tabs_at_line_ends(headers& head) noexcept;
};

}  // namespace heph::http::h1
