#include "link_security.hpp"

#include <algorithm>
#include <utility>

namespace heph::remote::detail {

namespace {

char lower(char each) noexcept {
    return each >= 'A' && each <= 'Z' ? static_cast<char>(each - 'A' + 'a') : each;
}

bool is_lower(std::string_view name) noexcept {
    return std::ranges::all_of(name, [](char each) { return each == lower(each); });
}

}  // namespace

bool proves(const std::vector<std::string>& dns_names, std::string_view node) {
    if (!is_lower(node)) { return false; }
    return std::ranges::any_of(dns_names, [node](const std::string& each) {
        return !each.contains('*') && std::ranges::equal(each, node, {}, lower);
    });
}

std::expected<void, rt::error> link_security::add(const rt::tls::secret& shared) {
    auto context = rt::tls::context::make(rt::tls::psk_config(shared));
    if (!context) {
        return std::unexpected(
            rt::error(context.error(), "cannot set up TLS: " + context.error().message()));
    }
    if (!dialing_) { dialing_.emplace(*context); }
    secrets_.push_back(std::move(*context));
    return {};
}

std::expected<void, rt::error> link_security::add(const node_certificate& proof,
                                                  std::string_view own_name) {
    if (certified_) {
        return std::unexpected(
            rt::error(std::make_error_code(std::errc::invalid_argument),
                      "a node has one certificate: several authorities go into one trust store"));
    }
    if (!is_lower(own_name)) {
        return std::unexpected(rt::error(std::make_error_code(std::errc::invalid_argument),
                                         "the node '" + std::string(own_name) +
                                             "' has a certificate: its name has to be in lower "
                                             "case, as others find it among the DNS names there"));
    }
    if (!proves(proof.own().names(), own_name)) {
        return std::unexpected(rt::error(rt::tls::errc::host_mismatch,
                                         "the certificate of the node '" + std::string(own_name) +
                                             "' is not for that name: it has to be among its DNS "
                                             "names (subjectAltName)"));
    }
    // Every connection proves the names anew, so that nothing is resumed.
    rt::tls::server_config server(proof.own());
    server.clients = rt::tls::client_certificates::required;
    server.client_authorities = proof.authorities();
    server.version_min = rt::tls::version::tls_1_3;
    server.tickets = false;
    auto accepting = rt::tls::server_context::make(server);
    if (!accepting) { return std::unexpected(std::move(accepting).error()); }
    certified_.emplace(std::move(*accepting));
    if (dialing_) { return {}; }
    rt::tls::client_config client;
    client.authorities = proof.authorities();
    client.own = proof.own();
    client.version_min = rt::tls::version::tls_1_3;
    client.sessions_max = 0;
    auto dialing = rt::tls::client_context::make(client);
    if (!dialing) { return std::unexpected(std::move(dialing).error()); }
    dialing_.emplace(std::move(*dialing));
    return {};
}

std::expected<link_security, rt::error> link_security::make(const options& settings) {
    if (settings.is_plain_text() && !settings.credentials().empty()) {
        return std::unexpected(rt::error(
            std::make_error_code(std::errc::invalid_argument),
            "the node '" + settings.name() +
                "' is to speak plain text, in which a secret or a certificate proves nothing: "
                "leave insecure_plain_text out, or what it accepts besides"));
    }
    if (settings.is_plain_text()) { return link_security(); }
    return make(settings.name(), settings.credentials());
}

std::expected<link_security, rt::error> link_security::make(
    const std::string& node, const std::vector<credentials::credential>& all) {
    link_security made;
    for (const auto& each : all) {
        const auto* secret = std::get_if<rt::tls::secret>(&each);
        auto added = secret != nullptr ? made.add(*secret)
                                       : made.add(std::get<node_certificate>(each), node);
        if (!added) { return std::unexpected(std::move(added).error()); }
    }
    // What is to be encrypted never becomes plain text for want of what to encrypt with.
    if (made.is_plain_text()) {
        return std::unexpected(
            rt::error(std::make_error_code(std::errc::invalid_argument),
                      "the node '" + node +
                          "' has neither a secret nor a certificate, as settings that were moved "
                          "from: only insecure_plain_text makes its links plain text"));
    }
    return made;
}

std::expected<record_layer, std::error_code> link_security::dial(const std::string& peer) const {
    if (is_plain_text()) { return record_layer::plain_text(true); }
    const auto* secret = std::get_if<rt::tls::context>(&*dialing_);
    auto engine = secret != nullptr ? secret->client()
                                    : std::get<rt::tls::client_context>(*dialing_).connect(peer);
    if (!engine) { return std::unexpected(engine.error()); }
    return record_layer::tls(std::move(*engine), true);
}

std::expected<record_layer, std::error_code> link_security::accept(std::size_t way) const {
    if (is_plain_text()) { return record_layer::plain_text(false); }
    auto engine = way < secrets_.size() ? secrets_[way].server() : certified_->accept();
    if (!engine) { return std::unexpected(engine.error()); }
    return record_layer::tls(std::move(*engine), false);
}

std::string link_security::explain(const std::error_code& failure, bool dialed) const {
    const bool certified =
        !is_plain_text() && std::holds_alternative<rt::tls::client_context>(*dialing_);
    if (dialed && certified && failure == rt::tls::errc::handshake_failed) {
        return failure.message() + ": this node links by certificates; does that one by a secret?";
    }
    return failure.message();
}

// A node of before 0.4.1 that speaks TLS closes without a word.
std::string link_security::explain_end(bool dialed) const {
    return dialed && is_plain_text() ? ": this node speaks plain text; does that one TLS?" : "";
}

// A node says at once when it speaks the other kind.
std::string link_security::explain_silence() const {
    return std::string(
               "it takes the connection and says nothing: it hangs, or is no node that "
               "speaks ") +
           (is_plain_text() ? "plain text" : "TLS") + ", as this one does";
}

bool link_security::may_be(const record_layer& peer, std::string_view name) {
    const auto shown = peer.certificate();
    return !shown || proves(shown->dns_names(), name);
}

}  // namespace heph::remote::detail
