// Feeds the request parser any bytes, cut at a place that the input names, and checks that the cut
// changes nothing, and that what is given stays within the limits.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <heph/http/h1/request_parser.hpp>

#include "heard_fields.hpp"

namespace {

namespace http = heph::http;
namespace h1 = heph::http::h1;

using heph::fuzz::hear_fields;
using heph::fuzz::hear_trailers;
using heph::fuzz::require;

// So many names that the parser looks for one among others.
const http::extension_methods& extensions() {
    static const http::extension_methods known = [] {
        http::extension_methods made;
        for (const char* name : {"BREW", "M-SEARCH", "X", "GETS"}) { made.add(name); }
        return made;
    }();
    return known;
}

class listener {
public:
    void feed(std::string_view bytes) {
        while (!failed_) {
            const std::size_t before = bytes.size();
            h1::event event = parser_.next(bytes, head_);
            if (event.kind == h1::event_kind::error) {
                const bool unknown = event.failure == http::error::unknown_method;
                event = parser_.take_extension(head_, extensions());
                require(unknown || event.kind == h1::event_kind::error);
            }
            require(bytes.size() <= before);
            if (event.kind == h1::event_kind::need_input) {
                require(bytes.empty());
                return;
            }
            note(event);
        }
    }

    [[nodiscard]] const std::string& heard() const noexcept { return heard_; }

private:
    void note(const h1::event& event) {
        switch (event.kind) {
            case h1::event_kind::head: note_head(); break;
            case h1::event_kind::body:
                require(!event.data.empty());
                if (!in_body_) { heard_ += "body "; }
                in_body_ = true;
                heard_ += event.data;
                return;
            case h1::event_kind::end:
                heard_ += "\nend\n";
                note_trailers();
                break;
            default:
                heard_ += "error " + std::to_string(static_cast<int>(event.failure));
                failed_ = true;
        }
        in_body_ = false;
    }

    void note_head() {
        require(head_.headers().size() <= limits_.headers_max);
        require(head_.target().size() <= limits_.request_line_bytes_max);
        const std::string_view method = head_.method_name();
        require(http::is_token(method));
        require(head_.method() == http::method::extension ? extensions().contains(method)
                                                          : http::parse_method(method).has_value());
        heard_ += method;
        heard_ += head_.target();
        heard_ += head_.path();
        heard_ += head_.query();
        hear_fields(head_.headers(), heard_);
    }

    void note_trailers() {
        require(head_.trailers().size() <= limits_.headers_max);
        hear_trailers(head_.trailers(), heard_);
    }

    http::limits limits_;
    h1::request_parser parser_{limits_};
    http::request_head head_;
    std::string heard_;
    bool in_body_ = false;
    bool failed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t cut = (data[0] + std::size_t{256} * data[1]) % (bytes.size() + 1);
    listener whole;
    whole.feed(bytes);
    listener parts;
    parts.feed(bytes.substr(0, cut));
    parts.feed(bytes.substr(cut));
    require(whole.heard() == parts.heard());
    return 0;
}
