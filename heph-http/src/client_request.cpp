#include <heph/http/client_request.hpp>

namespace heph::http {

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
        body_.clear();
        producer_ = nullptr;
        stream_length_.reset();
        has_body_ = false;
        for (const char* name : {"Content-Type", "Content-Encoding", "Content-Language",
                                 "Content-Location", "Last-Modified", "Digest"}) {
            (void)headers_.remove(name);
        }
    }
    (void)headers_.remove("Host");
    if (!same_origin) {
        for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) {
            (void)headers_.remove(name);
        }
    }
}

}  // namespace heph::http
