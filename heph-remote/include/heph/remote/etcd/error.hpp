#pragma once

// What can go wrong with etcd.

#include <cstdint>
#include <system_error>

namespace heph::remote::etcd {

/// Names what can go wrong with a request to etcd.
enum class errc : std::uint8_t {
    /// No endpoint could be reached, or none that has a leader; nothing was changed.
    unavailable = 1,
    /// No endpoint answered in time; nothing was changed.
    timed_out,
    /// A request that changes something was sent, and no answer came: it may have taken effect.
    outcome_unknown,
    /// The lease has expired, or was revoked.
    lease_not_found,
    /// The revision is older than what etcd still keeps.
    compacted,
    /// Another owner holds the name.
    taken,
    /// etcd does not let this user do that.
    permission_denied,
    /// etcd does not accept the request.
    invalid_request,
    /// etcd's storage is full.
    no_space,
    /// What came is no answer of etcd's version 3 JSON gateway.
    bad_answer,
    /// The answer is larger than is taken.
    too_large,
    /// The settings make no sense; the message says which.
    bad_settings,
};

/// Gives the category of `errc`, named "heph.remote.etcd".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// Makes an error code of an `errc`.
[[nodiscard]] std::error_code make_error_code(errc error) noexcept;

}  // namespace heph::remote::etcd

template <>
struct std::is_error_code_enum<heph::remote::etcd::errc> : std::true_type {};
