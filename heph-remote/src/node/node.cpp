#include <heph/remote/node.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <utility>

#include <heph/core/log.hpp>

#include "directory.hpp"
#include "hub.hpp"
#include "link_security.hpp"
#include "listening.hpp"
#include "node_starter.hpp"
#include "port.hpp"
#include "rt_environment.hpp"

namespace heph::remote {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

std::unexpected<rt::error> bad(std::errc code, std::string message) {
    return std::unexpected(rt::error(std::make_error_code(code), std::move(message)));
}

std::expected<detail::node_address, rt::error> check_peer(std::string_view own_name,
                                                          std::string_view name,
                                                          std::string_view address) {
    if (!protocol::is_good_name(name)) {
        return bad(std::errc::invalid_argument,
                   "the peer name '" + std::string(name) +
                       "' is not 1 to 255 printable ASCII characters without spaces");
    }
    if (name == own_name) {
        return bad(std::errc::invalid_argument,
                   "the peer '" + std::string(name) + "' has this node's own name");
    }
    auto parsed = detail::node_address::parse(address);
    if (!parsed || !parsed->is_dialable()) {
        return bad(std::errc::invalid_argument,
                   "the address '" + std::string(address) + "' of the peer '" + std::string(name) +
                       "' is not one such as 127.0.0.1:9001, [::1]:9001, db.example.org:9001 or "
                       "unix:/run/a.sock");
    }
    return *parsed;
}

std::unexpected<rt::error> bad_setting(std::string_view name, const std::string& allowed) {
    return bad(std::errc::invalid_argument,
               "the link setting " + std::string(name) + " is not " + allowed);
}

std::expected<void, rt::error> check_suspicion(const protocol::phi_accrual_settings& settings) {
    using limits = protocol::phi_accrual_settings;
    // Not a number is none of them.
    if (!(settings.threshold > 0 && settings.threshold <= limits::threshold_most)) {
        return bad_setting("phi_accrual.threshold", "above 0 and at most 300");
    }
    if (settings.samples_max < 2 || settings.samples_max > limits::samples_most) {
        return bad_setting("phi_accrual.samples_max", "from 2 to 10000");
    }
    return {};
}

std::expected<void, rt::error> check_links(const link_settings& links) {
    struct bounded_time {
        std::string_view name;
        milliseconds value;
        milliseconds least;
    };
    const auto& suspicion = links.phi_accrual;
    const protocol::phi_accrual_settings phi = suspicion.value_or(protocol::phi_accrual_settings());
    // What is added to the time must not overflow it.
    constexpr milliseconds most = std::chrono::years(10);
    for (const bounded_time& each : {
             bounded_time{"handshake_time", links.handshake_time, 1ms},
             bounded_time{"heartbeat", links.heartbeat, 1ms},
             bounded_time{"silence", links.silence, 1ms},
             bounded_time{"phi_accrual.pause", phi.pause, 0ms},
             bounded_time{"phi_accrual.deviation_min", phi.deviation_min, 1ms},
             bounded_time{"grace", links.grace, 0ms},
             bounded_time{"patience", links.patience, 0ms},
             bounded_time{"pause_min", links.pause_min, 0ms},
             bounded_time{"pause_max", links.pause_max, 0ms},
             bounded_time{"drain_time", links.drain_time, 0ms},
             bounded_time{"goodbye_time", links.goodbye_time, 0ms},
             bounded_time{"failure_forgiven", links.failure_forgiven, 0ms},
             bounded_time{"listen_retry", links.listen_retry, 0ms},
         }) {
        if (each.value < each.least || each.value > most) {
            return bad_setting(
                each.name, "from " + std::to_string(each.least.count()) +
                               " ms to 10 years: " + std::to_string(each.value.count()) + " ms");
        }
    }
    // Nothing would ever be taken or sent; a node with such windows every other one turns away.
    for (const auto& [name, value] :
         std::initializer_list<std::pair<std::string_view, std::size_t>>{
             {"half_open_max", links.half_open_max},
             {"peers_max", links.peers_max},
             {"own.message_bytes_max", links.own.message_bytes_max},
             {"own.window_messages", links.own.window_messages},
             {"own.window_bytes", links.own.window_bytes},
             {"own.parts_bytes_max", links.own.parts_bytes_max},
             {"session.frames_max", links.session.frames_max},
             {"session.bytes_max", links.session.bytes_max},
             {"session.hard_bytes_max", links.session.hard_bytes_max},
         }) {
        if (value == 0) { return bad_setting(name, "1 at least"); }
    }
    if (suspicion) { return check_suspicion(*suspicion); }
    return {};
}

// Where others reach the node: what it says, or where it listens.
std::string address_to_tell(const options& settings, const std::string& listens) {
    if (!settings.advertised().empty()) { return settings.advertised(); }
    const auto parsed = detail::node_address::parse(listens);
    return parsed && !parsed->is_any() ? listens : std::string();
}

}  // namespace

namespace detail {

std::expected<node, rt::error> node_starter::start(std::shared_ptr<environment> around,
                                                   const options& settings) {
    if (!protocol::is_good_name(settings.name())) {
        return bad(std::errc::invalid_argument,
                   "the node name '" + settings.name() +
                       "' is not 1 to 255 printable ASCII characters without spaces");
    }
    if (auto checked = check_links(settings.links()); !checked) {
        return std::unexpected(std::move(checked.error()));
    }
    std::vector<std::pair<std::string, node_address>> peers;
    for (const auto& [name, address] : settings.peers()) {
        auto checked = check_peer(settings.name(), name, address);
        if (!checked) { return std::unexpected(std::move(checked.error())); }
        peers.emplace_back(name, *checked);
    }
    auto security = link_security::make(settings);
    if (!security) { return std::unexpected(std::move(security).error()); }
    if (const std::string& told = settings.advertised(); !told.empty()) {
        const auto parsed = node_address::parse(told);
        if (!parsed || !parsed->is_dialable()) {
            return bad(std::errc::invalid_argument, "the address '" + told +
                                                        "' to tell others is not one such as "
                                                        "192.0.2.1:9001 or a.example.org:9001");
        }
    }
    listener_pointer listener;
    std::string address;
    if (const std::string& wanted = settings.listen_address(); !wanted.empty()) {
        const auto local = node_address::parse(wanted);
        if (local && !local->is_bindable()) {
            return bad(
                std::errc::invalid_argument,
                "the address '" + wanted +
                    "' to listen at is the name of a host: listen at one of its addresses, or "
                    "at all by 0.0.0.0 or [::], and say the name by options::advertise");
        }
        if (!local) {
            return bad(std::errc::invalid_argument,
                       "the address '" + wanted +
                           "' to listen at is not one such as "
                           "127.0.0.1:9001, [::1]:9001 or unix:/run/a.sock");
        }
        auto bound = listen_when_free(around, settings.memory(), *local,
                                      settings.links().listen_retry, settings.name());
        const auto at = bound ? (*bound)->local() : std::unexpected(bound.error());
        if (!at) {
            std::string message = "the node '" + settings.name() + "' cannot listen at " + wanted +
                                  ": " + at.error().message();
            if (at.error() == std::errc::address_in_use) {
                message += "; another program has the port: stop it, or choose another port";
            }
            return std::unexpected(rt::error(at.error(), std::move(message)));
        }
        listener = std::move(*bound);
        address = at->to_string();
    }
    auto [sender, receiver] = inbox::channel<command>(hub::commands_max);
    protocol::identity self;
    self.name = settings.name();
    self.incarnation = random_id();
    self.limits = settings.links().own;
    self.address = address_to_tell(settings, address);
    auto handles =
        std::make_shared<port>(around, settings.name(), std::move(address), self.address,
                               self.incarnation, settings.is_plain_text(), std::move(sender));
    const auto made = std::make_shared<hub>(std::move(around), handles, settings, std::move(self),
                                            std::move(*security));
    for (auto& [name, where] : peers) { handles->add_peer(std::move(name), where); }
    if (settings.is_plain_text()) {
        heph::log(log_level::warning,
                  "node " + settings.name() +
                      ": its links are plain text (insecure_plain_text): whoever reaches it, or is "
                      "on the way, can read, change and forge messages, under any node's name");
    }
    if (const auto at = node_address::parse(handles->address());
        at && at->is_any() && handles->advertised().empty()) {
        heph::log(log_level::warning,
                  "node " + settings.name() + ": listens at " + handles->address() +
                      " and says nowhere where it is reached (options::advertise): who gets a "
                      "reference to its actors, and does not dial it anyway, cannot use it");
    }
    made->start(std::move(receiver), std::move(listener));
    return node(std::move(handles));
}

}  // namespace detail

std::expected<node, rt::error> node::start(rt::worker& worker, const options& settings) {
    return detail::node_starter::start(detail::on_worker(worker), settings);
}

void node::publish_erased(std::string_view name, std::unique_ptr<detail::published> actor) const {
    if (!protocol::is_good_name(name)) {
        throw std::invalid_argument(
            "an actor is published under 1 to 255 printable ASCII characters without spaces");
    }
    if (name == detail::directory_name) {
        throw std::invalid_argument("the name '" + std::string(name) +
                                    "' is that of what each node tells of the others");
    }
    const auto& types = actor->types();
    if (std::set<std::string>(types.begin(), types.end()).size() != types.size()) {
        throw std::invalid_argument("two messages of '" + std::string(name) +
                                    "' have the same name on the wire: give one a message_name");
    }
    port_->publish(name, std::move(actor));
}

detail::destination_pointer node::share_erased(std::unique_ptr<detail::published> actor) const {
    std::shared_ptr<const detail::published> shared = std::move(actor);
    const std::uint64_t number = port_->share(shared);
    return std::make_shared<const detail::destination>(port_->name(), port_->advertised(),
                                                       std::string(), port_->incarnation(), number,
                                                       shared->types());
}

void node::unpublish(std::string_view name) const { port_->unpublish(name); }

std::expected<void, rt::error> node::add_peer(std::string_view name,
                                              std::string_view address) const {
    const auto checked = check_peer(port_->name(), name, address);
    if (!checked) { return std::unexpected(checked.error()); }
    port_->add_peer(std::string(name), *checked);
    return {};
}

void node::forget_peer(std::string_view name) const { port_->forget_peer(std::string(name)); }

std::expected<void, rt::error> node::set_credentials(const credentials& now,
                                                     links_that_are_up links) const {
    if (port_->is_plain_text()) {
        return bad(std::errc::invalid_argument,
                   "the node '" + port_->name() +
                       "' speaks plain text, in which a secret or a certificate proves nothing");
    }
    auto made = detail::link_security::make(port_->name(), now.all());
    if (!made) { return std::unexpected(std::move(made).error()); }
    port_->secure_anew(std::make_shared<detail::link_security>(std::move(*made)),
                       links == links_that_are_up::renewed);
    return {};
}

std::vector<peer_status> node::peers() const { return port_->peers(); }

bool node::is_linked(std::string_view peer) const { return port_->is_linked(peer); }

const std::string& node::name() const noexcept { return port_->name(); }

const std::string& node::address() const noexcept { return port_->address(); }

const std::string& node::reached_at() const noexcept { return port_->advertised(); }

void node::stop() const { port_->request_stop(); }

}  // namespace heph::remote
