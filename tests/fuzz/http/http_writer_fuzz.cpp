// Writes a request of any text, and reads it with the server's parser: what a client sends is taken
// as it was meant, or is not sent at all.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/request_writer.hpp>
#include <heph/http/url.hpp>

namespace {

namespace http = heph::http;
namespace h1 = heph::http::h1;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

/// Takes a text off the front of the input, up to a line feed.
std::string_view take(std::string_view& input) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view text = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    return text;
}

/// Reads one request, which has to be all there is.
void check_read(const std::string& bytes, const http::client_request& sent, std::string_view target,
                std::string_view body) {
    const http::limits limits;
    h1::request_parser parser(limits);
    http::request_head head;
    std::string_view input = bytes;
    std::string received;
    bool ended = false;
    while (!ended) {
        const h1::event event = parser.next(input, head);
        switch (event.kind) {
            case h1::event_kind::head:
                require(head.method() == sent.method());
                require(head.target() == target);
                for (const http::header field : sent.headers()) {
                    require(head.headers().contains(field.name));
                }
                break;
            case h1::event_kind::body: received += event.data; break;
            case h1::event_kind::end: ended = true; break;
            // The server may refuse what it has other limits for, as long as nothing is taken for a
            // request of its own.
            case h1::event_kind::error: return;
            case h1::event_kind::need_input: require(false);
        }
    }
    require(received == body);
    require(input.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
    auto method = static_cast<http::method>(data[0] % http::method_count);
    if (method == http::method::connect) { method = http::method::get; }
    http::client_request request(method, take(input));
    const auto url = http::url::parse(request.url());
    if (!url) { return 0; }
    for (unsigned fields = data[1] % 4U; fields > 0; --fields) {
        const std::string_view name = take(input);
        request.headers().append(name, take(input));
    }
    const bool streamed = (data[1] & 4U) != 0;
    if (streamed) {
        request.set_stream([](http::body_writer& to) { return to.write({}); });
    } else if ((data[1] & 8U) != 0) {
        request.set_body(std::string(input));
    }
    h1::request_writer writer;
    std::string bytes;
    if (!writer.write(bytes, request, url->target, url->authority())) { return 0; }
    std::string_view body = request.body();
    if (streamed) {
        body = input;
        const std::size_t cut = data[0] % (input.size() + 1);
        require(writer.write_piece(bytes, input.substr(0, cut)).has_value());
        require(writer.write_piece(bytes, input.substr(cut)).has_value());
        require(writer.write_end(bytes).has_value());
    }
    check_read(bytes, request, url->target, body);
    return 0;
}
