// Feeds any bytes to the reader of forms, whole and cut up, and checks that what it tells does not
// depend on the cuts, and keeps to its limits.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <heph/http/multipart.hpp>

namespace {

namespace http = heph::http;
using http::multipart_parser;

constexpr std::size_t parts_max = 5;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

std::string listen(std::string_view bytes, std::size_t step) {
    http::multipart_limits bounds;
    bounds.parts_max = parts_max;
    bounds.part_head_bytes_max = 200;
    multipart_parser parser("XX", bounds);
    std::string told;
    std::size_t parts = 0;
    bool in_part = false;
    while (!bytes.empty()) {
        std::string_view input = bytes.substr(0, step);
        bytes.remove_prefix(input.size());
        for (;;) {
            const auto found = parser.next(input);
            using kind = multipart_parser::event_kind;
            if (found.kind == kind::need_input) {
                require(input.empty());
                break;
            }
            if (found.kind == kind::error) { return told + "E"; }
            if (found.kind == kind::data) {
                require(in_part && !found.data.empty());
                told += found.data;
                continue;
            }
            in_part = found.kind == kind::part;
            if (in_part) {
                require(++parts <= parts_max);
                const http::form_part& part = parser.part();
                told += "[" + part.name + "|" + part.filename.value_or("-") + "|" +
                        part.content_type + "]";
            } else {
                told += found.kind == kind::end ? "." : "/";
            }
        }
    }
    return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) { return 0; }
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    require(listen(text, text.size() + 1) == listen(text, 1 + data[0] % 16));
    if (const auto boundary = http::multipart_boundary(text)) {
        require(!boundary->empty() && boundary->size() <= 70);
    }
    return 0;
}
