#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <heph/http/middleware/auth.hpp>

#include "../base64.hpp"
#include "../chars.hpp"

namespace heph::http {

namespace {

/// Gives what stands behind the scheme's name in `Authorization`.
std::optional<std::string_view> credentials_of(const request& asked, std::string_view scheme) {
    if (asked.headers().count("Authorization") != 1) { return {}; }
    const std::string_view value = *asked.header("Authorization");
    if (value.size() <= scheme.size() || value[scheme.size()] != ' ' ||
        !equal_ignoring_case(value.substr(0, scheme.size()), scheme)) {
        return {};
    }
    return detail::trim(value.substr(scheme.size()));
}

std::string challenge(std::string_view scheme, std::string_view realm, std::string_view more) {
    const bool quotable = std::ranges::all_of(
        realm, [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
    if (!quotable) {
        throw std::invalid_argument("a realm is printable ASCII without quotes and backslashes");
    }
    std::string text(scheme);
    text += " realm=\"";
    text += realm;
    text += '"';
    text += more;
    return text;
}

/// Lets a request pass, or answers with the challenge.
template <typename Check>
class guard {
public:
    guard(std::string_view scheme, std::string_view realm, std::string_view more, Check check)
        : scheme_(scheme), challenge_(challenge(scheme, realm, more)), check_(std::move(check)) {
        if (!check_) { throw std::invalid_argument("there is no function to check with"); }
    }

    task<response> run(request& asked, next_handler next) const {
        const auto given = credentials_of(asked, scheme_);
        bool good = false;
        if (given) {
            std::string user;
            task<bool> checking = check(asked, *given, user);
            good = co_await std::move(checking);
            if (good && !user.empty() && asked.get<authenticated_user>() == nullptr) {
                asked.set(authenticated_user(std::move(user)));
            }
        }
        if (!good) {
            co_return response::problem(status::unauthorized)
                .set_header("WWW-Authenticate", challenge_);
        }
        response answer = co_await next(asked);
        co_return answer;
    }

private:
    static task<bool> refuse() { co_return false; }

    // Gives the user's name, too, where it is a part of the credentials.
    task<bool> check(request& asked, std::string_view given, std::string& user) const {
        if constexpr (std::same_as<Check, check_token>) {
            return check_(asked, std::string(given));
        } else {
            const auto decoded = detail::decode_base64(given);
            if (!decoded) { return refuse(); }
            const std::size_t colon = decoded->find(':');
            if (colon == std::string::npos) { return refuse(); }
            user = decoded->substr(0, colon);
            return check_(asked, user, decoded->substr(colon + 1));
        }
    }

    std::string_view scheme_;
    std::string challenge_;
    Check check_;
};

template <typename Check>
middleware make_guard(std::string_view scheme, std::string_view realm, std::string_view more,
                      Check check) {
    return [shared = std::make_shared<const guard<Check>>(scheme, realm, more, std::move(check))](
               request& asked, next_handler next) { return shared->run(asked, next); };
}

}  // namespace

middleware basic_auth(std::string realm, check_password check) {
    return make_guard("Basic", realm, ", charset=\"UTF-8\"", std::move(check));
}

middleware bearer_auth(std::string realm, check_token check) {
    return make_guard("Bearer", realm, "", std::move(check));
}

bool equal_secrets(std::string_view given, std::string_view expected) noexcept {
    // Volatile keeps the compiler from leaving the loop early.
    volatile unsigned char difference = given.size() == expected.size() ? 0 : 1;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const char other = expected.empty() ? '\0' : expected[i % expected.size()];
        difference = static_cast<unsigned char>(difference | (static_cast<unsigned char>(given[i]) ^
                                                              static_cast<unsigned char>(other)));
    }
    return difference == 0;
}

}  // namespace heph::http
