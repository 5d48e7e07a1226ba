// Negotiating permessage-deflate (RFC 7692, 7.1).

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include <heph/http/ws/handshake.hpp>

#include "../chars.hpp"

namespace heph::http::ws {

namespace {

constexpr std::string_view deflate_name = "permessage-deflate";

/// One element of `Sec-WebSocket-Extensions`.
struct extension {
    std::string_view name;
    std::vector<std::pair<std::string_view, std::optional<std::string_view>>> parameters;
};

// No value that may stand here has a comma, a semicolon or a quote in it: a token, or one in quotes
// (RFC 6455, 9.1).
std::optional<extension> read_extension(std::string_view text) {
    extension found;
    std::size_t end = text.find(';');
    found.name = http::detail::trim(text.substr(0, end));
    if (!is_token(found.name)) { return std::nullopt; }
    while (end != std::string_view::npos) {
        text.remove_prefix(end + 1);
        end = text.find(';');
        const std::string_view part = http::detail::trim(text.substr(0, end));
        const std::size_t equals = part.find('=');
        std::optional<std::string_view> value;
        if (equals != std::string_view::npos) {
            value = http::detail::trim(part.substr(equals + 1));
            if (value->size() >= 2 && value->front() == '"' && value->back() == '"') {
                value = value->substr(1, value->size() - 2);
            }
            if (!is_token(*value)) { return std::nullopt; }
        }
        const std::string_view name = http::detail::trim(part.substr(0, equals));
        if (!is_token(name)) { return std::nullopt; }
        found.parameters.emplace_back(name, value);
    }
    return found;
}

/// What an element says about permessage-deflate.
struct deflate_terms {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    std::optional<int> server_max_window_bits;
    std::optional<int> client_max_window_bits;
    bool takes_client_bits = false;  // Named, maybe without a value.
};

std::optional<int> read_bits(std::string_view text) {
    int bits = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), bits);
    const bool whole = failure == std::errc() && end == text.data() + text.size();
    if (!whole || text.front() == '0' || bits < 8 || bits > 15) { return std::nullopt; }
    return bits;
}

// Gives false for a parameter that is unknown, repeated, or has a value that it must not have.
bool take_parameter(deflate_terms& terms, std::string_view name,
                    std::optional<std::string_view> value) {
    if (name == "server_no_context_takeover") {
        return !value && !std::exchange(terms.server_no_context_takeover, true);
    }
    if (name == "client_no_context_takeover") {
        return !value && !std::exchange(terms.client_no_context_takeover, true);
    }
    if (name == "server_max_window_bits") {
        if (terms.server_max_window_bits || !value) { return false; }
        terms.server_max_window_bits = read_bits(*value);
        return terms.server_max_window_bits.has_value();
    }
    if (name == "client_max_window_bits") {
        if (std::exchange(terms.takes_client_bits, true)) { return false; }
        if (!value) { return true; }
        terms.client_max_window_bits = read_bits(*value);
        return terms.client_max_window_bits.has_value();
    }
    return false;
}

std::optional<deflate_terms> read_terms(const extension& from) {
    deflate_terms terms;
    for (const auto& [name, value] : from.parameters) {
        if (!take_parameter(terms, name, value)) { return std::nullopt; }
    }
    return terms;
}

// Calls `take` with the elements of all fields, until it gives true.
template <typename Take>
bool any_extension(const headers& fields, Take take) {
    for (const header field : fields) {
        if (!equal_ignoring_case(field.name, "sec-websocket-extensions")) { continue; }
        std::string_view list = field.value;
        while (!list.empty()) {
            const std::string_view element = http::detail::next_element(list);
            if (!element.empty() && take(read_extension(element))) { return true; }
        }
    }
    return false;
}

deflate_agreement accept(const deflate_terms& offered, const deflate_options& ours) {
    deflate_agreement agreed;
    deflate_parameters& parameters = agreed.parameters;
    agreed.field = deflate_name;
    parameters.server_no_context_takeover =
        offered.server_no_context_takeover || ours.server_no_context_takeover;
    if (parameters.server_no_context_takeover) { agreed.field += "; server_no_context_takeover"; }
    // A server may ask for this unasked (7.1.1.2).
    parameters.client_no_context_takeover =
        offered.client_no_context_takeover || ours.client_no_context_takeover;
    if (parameters.client_no_context_takeover) { agreed.field += "; client_no_context_takeover"; }
    parameters.server_max_window_bits =
        std::min(ours.server_max_window_bits, offered.server_max_window_bits.value_or(15));
    // To take an offer that has it is to answer it, also with 15 (7.1.2.1).
    if (parameters.server_max_window_bits < 15 || offered.server_max_window_bits) {
        agreed.field +=
            "; server_max_window_bits=" + std::to_string(parameters.server_max_window_bits);
    }
    if (offered.takes_client_bits) {
        parameters.client_max_window_bits =
            std::min(ours.client_max_window_bits, offered.client_max_window_bits.value_or(15));
        if (parameters.client_max_window_bits < 15) {
            agreed.field +=
                "; client_max_window_bits=" + std::to_string(parameters.client_max_window_bits);
        }
    }
    return agreed;
}

}  // namespace

std::optional<deflate_agreement> agree_on_deflate(const headers& offered,
                                                  const deflate_options& ours) {
    std::optional<deflate_agreement> agreed;
    (void)any_extension(offered, [&](const std::optional<extension>& each) {
        if (!each || each->name != deflate_name) { return false; }
        const auto terms = read_terms(*each);
        // zlib cannot write with a window of 256 bytes.
        if (!terms || terms->server_max_window_bits.value_or(15) < 9) { return false; }
        agreed = accept(*terms, ours);
        return true;
    });
    return agreed;
}

std::string deflate_offer(const deflate_options& ours) {
    std::string offer(deflate_name);
    if (ours.server_no_context_takeover) { offer += "; server_no_context_takeover"; }
    if (ours.client_no_context_takeover) { offer += "; client_no_context_takeover"; }
    if (ours.server_max_window_bits < 15) {
        offer += "; server_max_window_bits=" + std::to_string(ours.server_max_window_bits);
    }
    offer += "; client_max_window_bits";
    if (ours.client_max_window_bits < 15) {
        offer += "=" + std::to_string(ours.client_max_window_bits);
    }
    return offer;
}

std::expected<std::optional<deflate_parameters>, bool> read_deflate_answer(
    const headers& answered, const deflate_options& ours) {
    using result = std::expected<std::optional<deflate_parameters>, bool>;
    std::optional<deflate_parameters> agreed;
    const bool refused = any_extension(answered, [&](const std::optional<extension>& each) {
        if (!each || each->name != deflate_name || agreed) { return true; }
        const auto terms = read_terms(*each);
        if (!terms) { return true; }
        // Only an offer may leave the number out (7.1.2.2).
        if (terms->takes_client_bits && !terms->client_max_window_bits) { return true; }
        deflate_parameters& found = agreed.emplace();
        found.server_no_context_takeover = terms->server_no_context_takeover;
        found.client_no_context_takeover =
            terms->client_no_context_takeover || ours.client_no_context_takeover;
        found.server_max_window_bits = terms->server_max_window_bits.value_or(15);
        found.client_max_window_bits =
            std::min(ours.client_max_window_bits, terms->client_max_window_bits.value_or(15));
        // What was asked for has to be met (7.1.2), and zlib cannot write with 8.
        return found.server_max_window_bits > ours.server_max_window_bits ||
               terms->client_max_window_bits.value_or(0) > ours.client_max_window_bits ||
               (ours.server_no_context_takeover && !found.server_no_context_takeover) ||
               found.client_max_window_bits < 9;
    });
    if (refused) { return result(std::unexpect, false); }
    return result(agreed);
}

}  // namespace heph::http::ws
