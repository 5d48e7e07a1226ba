// Feeds the response parser any bytes, cut at a place that the input names, and checks that the cut
// changes nothing, that a body has the length that was said, and that what is given stays within
// the limits.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <heph/http/h1/response_parser.hpp>

#include "heard_fields.hpp"

namespace {

namespace http = heph::http;
namespace h1 = heph::http::h1;

using heph::fuzz::hear_fields;
using heph::fuzz::hear_trailers;
using heph::fuzz::require;

class listener {
public:
    explicit listener(http::method asked) { parser_.begin(asked); }

    void feed(std::string_view bytes) {
        while (!failed_) {
            const std::size_t before = bytes.size();
            const h1::event event = parser_.next(bytes, head_);
            require(bytes.size() <= before);
            if (event.kind == h1::event_kind::need_input) {
                // Only behind the end, and in a tunnel, is something left that is not ours.
                require(bytes.empty() || parser_.is_done() ||
                        head_.framing() == http::response_framing::tunnel);
                left_ += bytes;
                return;
            }
            note(event);
        }
    }
    void end() {
        if (!failed_) { note(parser_.end_of_input()); }
    }

    [[nodiscard]] std::string heard() const { return heard_ + "|" + left_; }

private:
    void note(const h1::event& event) {
        switch (event.kind) {
            case h1::event_kind::head:
                note_head();
                received_ = 0;
                return;
            case h1::event_kind::body:
                require(!event.data.empty());
                received_ += event.data.size();
                heard_ += event.data;
                return;
            case h1::event_kind::end:
                if (const auto length = head_.content_length()) { require(received_ == *length); }
                heard_ += "\nend\n";
                note_trailers();
                return;
            case h1::event_kind::need_input: return;
            case h1::event_kind::error:
                heard_ += "\nerror " + std::to_string(static_cast<int>(event.failure));
                failed_ = true;
        }
    }

    void note_head() {
        require(code(head_.status()) >= 100 && code(head_.status()) <= 999);
        require(head_.headers().size() <= limits_.headers_max);
        heard_ += std::to_string(code(head_.status()));
        heard_ += head_.reason();
        heard_ += std::to_string(static_cast<int>(head_.framing()));
        hear_fields(head_.headers(), heard_);
    }

    void note_trailers() {
        require(head_.trailers().size() <= limits_.headers_max);
        hear_trailers(head_.trailers(), heard_);
    }

    http::limits limits_;
    h1::response_parser parser_{limits_};
    http::response_head head_;
    std::string heard_;
    std::string left_;
    std::uint64_t received_ = 0;
    bool failed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) { return 0; }
    const auto asked = static_cast<http::method>(data[2] % http::method_count);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
    const std::size_t cut = (data[0] + std::size_t{256} * data[1]) % (bytes.size() + 1);
    listener whole(asked);
    whole.feed(bytes);
    whole.end();
    listener parts(asked);
    parts.feed(bytes.substr(0, cut));
    parts.feed(bytes.substr(cut));
    parts.end();
    require(whole.heard() == parts.heard());
    return 0;
}
