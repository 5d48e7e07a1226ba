#include <heph/http/client_request.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace heph::http {

namespace {

// Whatever says something about content that is no longer sent (RFC 9110, 15.4).
void remove_content_fields(headers& from) {
    constexpr std::string_view content = "Content-";
    std::vector<std::string> found{"Last-Modified", "Digest", "Repr-Digest"};
    for (const header each : from) {
        if (equal_ignoring_case(each.name.substr(0, content.size()), content)) {
            found.emplace_back(each.name);
        }
    }
    for (const std::string& name : found) { (void)from.remove(name); }
}

}  // namespace

bool client_request::becomes_get(status answered) const noexcept {
    // RFC 9110, 15.4: 303 asks for GET; for 301 and 302 that is what became of POST.
    if (answered == status::see_other) { return method_ != method::head; }
    return method_ == method::post &&
           (answered == status::moved_permanently || answered == status::found);
}

bool client_request::can_redirect(status answered) const noexcept {
    return becomes_get(answered) || !is_streamed();  // What was streamed is gone.
}

void client_request::redirect(status answered, bool same_origin) {
    if (becomes_get(answered)) {
        method_ = method::get;
        body_.reset();
        producer_ = nullptr;
        stream_length_.reset();
        has_body_ = false;
        remove_content_fields(headers_);
    }
    (void)headers_.remove("Host");
    if (!same_origin) {
        for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) {
            (void)headers_.remove(name);
        }
    }
}

}  // namespace heph::http
