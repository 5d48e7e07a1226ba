#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/router.hpp>

namespace heph::http {

/// Tells whether a password is a user's. It may wait, for example for an actor.
/// *Thread safety*: it is called by all workers, at the same time.
using check_password = std::function<task<bool>(request&, std::string user, std::string password)>;

/// Tells whether a token is good.
/// *Thread safety*: it is called by all workers, at the same time.
using check_token = std::function<task<bool>(request&, std::string token)>;

/// Who asks, as an authentication found out: `request.get<http::authenticated_user>()`.
///
/// `basic_auth` sets it to the name that the client gave, unless `check` has set it; for a token,
/// `check` knows whose it is, and sets it. The access log has it as the user.
struct authenticated_user {
    authenticated_user() noexcept = default;
    explicit authenticated_user(std::string named) noexcept : name(std::move(named)) {}

    std::string name;
};

/// Makes a middleware that lets only requests with a good `Authorization: Basic` pass (RFC 7617);
/// others are answered with 401 and a challenge. Use it over TLS only: the password is not hidden.
/// *Errors*: throws `std::invalid_argument` when the realm cannot stand in a header.
[[nodiscard]] middleware basic_auth(std::string realm, check_password check);

/// Makes a middleware that lets only requests with a good `Authorization: Bearer` pass (RFC 6750);
/// others are answered with 401 and a challenge.
/// *Errors*: throws `std::invalid_argument` when the realm cannot stand in a header.
[[nodiscard]] middleware bearer_auth(std::string realm, check_token check);

/// Compares two secrets in a time that depends on the length of `given` only, so that it does not
/// tell how much of a guess was right.
[[nodiscard]] bool equal_secrets(std::string_view given, std::string_view expected) noexcept;

}  // namespace heph::http
