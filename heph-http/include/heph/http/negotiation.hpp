#pragma once

// What a client would like best (RFC 9110, 12). Each function takes what the server can give, best
// first, and gives the position of the one to send.

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <heph/http/headers.hpp>

namespace heph::http {

/// Chooses a media type by `Accept` (RFC 9110, 12.5.1): `{"text/html", "application/json"}`.
///
/// The most specific range that an offer matches counts for it; parameters of a range have to be in
/// the offer. Of offers that are liked equally, the first is chosen. Without `Accept`
/// that is the very first; a malformed weight counts as 0, save `.5` and digits beyond the third,
/// as clients in wide use send them. Gives nothing when none is acceptable: 406, or the first all
/// the same.
[[nodiscard]] std::optional<std::size_t> choose_media_type(
    const headers& request, std::span<const std::string_view> offers);

/// Chooses a content coding by `Accept-Encoding` (RFC 9110, 12.5.3): `{"br", "gzip", "identity"}`.
///
/// `identity` is acceptable unless it is excluded, but is preferred to no coding that is named.
/// Without `Accept-Encoding` only `identity` is chosen. Gives nothing when none is acceptable.
[[nodiscard]] std::optional<std::size_t> choose_encoding(const headers& request,
                                                         std::span<const std::string_view> offers);

/// Chooses a language by `Accept-Language` (RFC 9110, 12.5.4, with the lookup of RFC 4647, 3.4):
/// `en` is offered for `en-GB`, and for `*`. Gives nothing when none is acceptable.
[[nodiscard]] std::optional<std::size_t> choose_language(const headers& request,
                                                         std::span<const std::string_view> offers);

}  // namespace heph::http
