#include "field_reader.hpp"

#include <llhttp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "../chars.hpp"

namespace heph::http::h1 {

namespace {

constexpr std::string_view stand_in = "POST / HTTP/1.1\r\n";

struct reading {
    headers* head;
    std::size_t headers_max;
    bool too_many = false;
};

}  // namespace

// The bytes are complete, in one piece, and hold no control characters: llhttp calls back once for
// each name and each value.
struct field_reader::callbacks {
    static reading& of(llhttp_t* parser) noexcept { return *static_cast<reading*>(parser->data); }

    static int on_field(llhttp_t* parser, const char* at, std::size_t size) {
        auto& [head, headers_max, too_many] = of(parser);
        auto& fields = head->fields_;
        if (fields.size() == headers_max) {
            too_many = true;
            return HPE_USER;
        }
        headers::field added{};
        added.name_at = static_cast<std::uint32_t>(at - head->text_.data());
        added.name_size = static_cast<std::uint32_t>(size);
        fields.push_back(added);
        return 0;
    }

    static int on_value(llhttp_t* parser, const char* at, std::size_t size) {
        headers& head = *of(parser).head;
        if (head.fields_.empty()) { return HPE_USER; }
        const std::string_view value = detail::trim({at, size});
        headers::field& field = head.fields_[head.fields_.size() - 1];
        field.value_at = static_cast<std::uint32_t>(value.data() - head.text_.data());
        field.value_size = static_cast<std::uint32_t>(value.size());
        return 0;
    }

    static int on_headers_complete(llhttp_t*) { return HPE_PAUSED; }

    static const llhttp_settings_t& settings() noexcept {
        static const llhttp_settings_t made = [] {
            llhttp_settings_t blank;
            llhttp_settings_init(&blank);
            blank.on_header_field = on_field;
            blank.on_header_value = on_value;
            blank.on_headers_complete = on_headers_complete;
            return blank;
        }();
        return made;
    }
};

// llhttp takes no tab behind a length, though white space there is legal (RFC 9110, 5.5).
void field_reader::blank_tabs_at_line_ends(headers& head) noexcept {
    char* at = head.text_.data();
    char* const end = at + head.text_.size();
    const auto is_white = [](char c) { return c == ' ' || c == '\t'; };
    for (;;) {
        at = static_cast<char*>(std::memchr(at, '\t', static_cast<std::size_t>(end - at)));
        if (at == nullptr) { return; }
        char* const behind = std::find_if_not(at, end, is_white);
        if (behind != end && *behind == '\r') { std::fill(at, behind, ' '); }
        at = behind;
    }
}

std::expected<void, error> field_reader::read(headers& head, message kind,
                                              std::size_t headers_max) {
    blank_tabs_at_line_ends(head);
    llhttp_t parser;
    llhttp_init(&parser, kind == message::response ? HTTP_RESPONSE : HTTP_REQUEST,
                &callbacks::settings());
    // It is lenient only where the checks of the fields are stricter than it, and give the better
    // error.
    parser.lenient_flags = LENIENT_CHUNKED_LENGTH | LENIENT_TRANSFER_ENCODING | LENIENT_VERSION;
    reading found{&head, headers_max};
    parser.data = &found;
    std::string_view rest(head.text_.data(), head.text_.size());
    if (kind == message::extension) [[unlikely]] {
        (void)llhttp_execute(&parser, stand_in.data(), stand_in.size());
        rest.remove_prefix(rest.find('\n') + 1);
    }
    const llhttp_errno_t outcome = llhttp_execute(&parser, rest.data(), rest.size());
    switch (outcome) {
        case HPE_PAUSED: return {};
        case HPE_INVALID_CONTENT_LENGTH: return std::unexpected(error::bad_content_length);
        case HPE_UNEXPECTED_CONTENT_LENGTH: return std::unexpected(error::repeated_content_length);
        case HPE_INVALID_URL: return std::unexpected(error::bad_target);
        case HPE_INVALID_HEADER_TOKEN: return std::unexpected(error::bad_header_value);
        default: break;
    }
    if (found.too_many) { return std::unexpected(error::too_many_headers); }
    return std::unexpected(kind == message::response ? error::bad_status_line
                                                     : error::bad_request_line);
}

}  // namespace heph::http::h1
