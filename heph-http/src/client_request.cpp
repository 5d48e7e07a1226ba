#include <heph/http/client_request.hpp>

namespace heph::http {

bool client_request::redirect(status answered, bool same_origin) {
    // RFC 9110, 15.4: 303 asks for GET; for 301 and 302 that is what became of POST.
    const bool becomes_get =
        answered == status::see_other
            ? method_ != method::head
            : method_ == method::post &&
                  (answered == status::moved_permanently || answered == status::found);
    if (becomes_get) {
        method_ = method::get;
        body_.clear();
        producer_ = nullptr;
        stream_length_.reset();
        has_body_ = false;
        for (const char* name : {"Content-Type", "Content-Encoding", "Content-Language",
                                 "Content-Location", "Last-Modified", "Digest"}) {
            (void)headers_.remove(name);
        }
    } else if (is_streamed()) {
        return false;  // What was streamed is gone.
    }
    (void)headers_.remove("Host");
    if (!same_origin) {
        for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) {
            (void)headers_.remove(name);
        }
    }
    return true;
}

}  // namespace heph::http
