#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/middleware/cors.hpp>

namespace heph::http {

namespace {

std::string join(const std::vector<std::string>& parts) {
    std::string all;
    for (const std::string& part : parts) {
        if (!all.empty()) { all += ", "; }
        all += part;
    }
    return all;
}

class cors_policy {
public:
    explicit cors_policy(cors_options options)
        : options_(std::move(options)),
          methods_(join(options_.methods)),
          headers_(join(options_.headers)),
          exposed_(join(options_.exposed_headers)),
          any_(std::ranges::find(options_.origins, "*") != options_.origins.end()) {
        if (any_ && (options_.credentials || options_.origins.size() > 1)) {
            throw std::invalid_argument(
                "cors: the origin * stands alone, and without credentials; name the origins");
        }
    }

    task<response> run(request& asked, next_handler next) const {
        const auto origin = asked.header("Origin");
        const bool preflight = origin && asked.method() == method::options &&
                               asked.header("Access-Control-Request-Method");
        if (preflight) { co_return answer_preflight(*origin); }
        response answer = co_await next(asked);
        permit(answer, asked.header("Origin"));
        if (!exposed_.empty() && answer.headers().contains("Access-Control-Allow-Origin")) {
            answer.set_header("Access-Control-Expose-Headers", exposed_);
        }
        co_return answer;
    }

private:
    [[nodiscard]] bool allows(std::string_view origin) const {
        return any_ || std::ranges::find(options_.origins, origin) != options_.origins.end();
    }

    /// Says that the page may have the answer, when it may.
    void permit(response& answer, std::optional<std::string_view> origin) const {
        if (any_) {
            if (origin) { answer.set_header("Access-Control-Allow-Origin", "*"); }
            return;
        }
        // Caches have to keep the answers apart, also the one without permission.
        if (!answer.headers().has_token("Vary", "Origin")) {
            answer.headers().append("Vary", "Origin");
        }
        if (!origin || !allows(*origin)) { return; }
        answer.set_header("Access-Control-Allow-Origin", *origin);
        if (options_.credentials) { answer.set_header("Access-Control-Allow-Credentials", "true"); }
    }

    [[nodiscard]] response answer_preflight(std::string_view origin) const {
        response answer = response::empty();
        permit(answer, origin);
        if (!allows(origin)) { return answer; }
        if (!methods_.empty()) { answer.set_header("Access-Control-Allow-Methods", methods_); }
        if (!headers_.empty()) { answer.set_header("Access-Control-Allow-Headers", headers_); }
        answer.set_header("Access-Control-Max-Age", std::to_string(options_.max_age.count()));
        return answer;
    }

    cors_options options_;
    std::string methods_;
    std::string headers_;
    std::string exposed_;
    bool any_;
};

}  // namespace

middleware cors(cors_options options) {
    return [shared = std::make_shared<const cors_policy>(std::move(options))](
               request& asked, next_handler next) { return shared->run(asked, next); };
}

}  // namespace heph::http
