#pragma once

// How a node is set up.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <heph/remote/credentials.hpp>
#include <heph/remote/node_certificate.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/handshake.hpp>
#include <heph/remote/protocol/phi_accrual.hpp>
#include <heph/remote/protocol/session.hpp>
#include <heph/rt/tls/secret.hpp>

namespace heph::remote {

class memory_network;
namespace detail {
class hub;
class memory_core;
}  // namespace detail

/// The settings of a node's links, with their defaults. Times are at most 10 years.
struct link_settings {
    using milliseconds = std::chrono::milliseconds;

    /// From opening a connection to the end of TLS's handshake, if any, and ours. A node's only
    /// place has all of it, also where it takes the connection and says nothing: that is what one
    /// looks like that is held up, or is just being started behind a socket that the system keeps
    /// for it, and who dialed anew would be behind all others there. Of several places the next one
    /// is tried after a second of silence.
    milliseconds handshake_time{5'000};
    /// After so much silence a link asks the peer for a sign of life.
    milliseconds heartbeat{2'000};
    /// After so much silence a connection is taken for dead. Time in which this program did not run
    /// is not counted.
    milliseconds silence{8'000};
    /// Takes a connection for dead before `silence` when that is suspicious, by how late the peer's
    /// answers came so far (the φ accrual failure detector). What they were is counted anew for
    /// each connection. Without it `silence` alone decides.
    std::optional<protocol::phi_accrual_settings> phi_accrual;
    /// A session waits so long for its next connection before it is lost.
    milliseconds grace{30'000};
    /// Searches, and sends and calls that are new, wait so long for a link that is not up; after
    /// that they fail with `node_down` at once, until it is up again.
    milliseconds patience{1'000};
    /// The first pause between attempts to connect; it doubles up to `pause_max`, less a random
    /// part of up to a half.
    milliseconds pause_min{100};
    milliseconds pause_max{5'000};
    /// A node whose connection broke and whose port then refuses so many connections in a row is
    /// gone: its session is lost at once, without the grace. Only the host with which the
    /// connection was counts. 0: never, for networks where something else than the node refuses.
    std::uint32_t refusals_max = 3;
    /// What an orderly stop gives the calls that are under way, of this node and of others, before
    /// it says goodbye. It ends as soon as there are none.
    milliseconds drain_time{3'000};
    /// What an orderly stop gives a connection to say goodbye.
    milliseconds goodbye_time{1'000};
    /// Dials nodes to which nobody but a reference in a message leads, at the address that it says.
    /// They have to know the secret, and to be among `options::only_peers`, if that is set. Unix
    /// sockets are dialed so only by a node that listens at one, or has a peer at one.
    bool dial_references = true;
    std::size_t half_open_max = 64;  ///< Accepted connections before their handshake is done.
    std::size_t peers_max = 256;     ///< Nodes that this one is linked to.
    /// Those of them, at most, that are sought as references led to them, and not reached yet. The
    /// oldest makes place for another one.
    std::size_t learned_peers_max = 32;
    /// Handshakes of one address that may fail at once; after that, connections from it are refused
    /// until some are forgiven, one each `failure_forgiven`. 0: no limit.
    std::uint32_t failures_max = 20;
    milliseconds failure_forgiven{1'000};
    /// While another program has the address to listen at, `node::start` tries again for so long,
    /// and logs that it does: a program that was killed keeps its address for a moment after its
    /// end. The thread waits meanwhile. 0: the first refusal counts, which is for those who start
    /// nodes where other things run already. A node that was told to stop gives its address up
    /// when its worker runs it: who starts another one there, on that worker, sets 0 and tries
    /// again by a timer, as waiting would be in vain.
    milliseconds listen_retry{3'000};
    /// What this node takes of a peer: sizes and windows. Of messages, four times the protocol's
    /// window: a sender of small ones seldom waits for a round trip then.
    protocol::link_limits own = wide_window();
    protocol::session_limits session;  ///< What waits to be acknowledged by a peer.

private:
    [[nodiscard]] static constexpr protocol::link_limits wide_window() noexcept {
        protocol::link_limits limits;
        limits.window_messages = 1024;
        return limits;
    }
};

/// Collects the settings of a node.
///
///     heph::remote::options settings("b", secret);
///     settings.listen("127.0.0.1:9002").peer("a", "127.0.0.1:9001");
class options {
public:
    /// Names the node, by 1 to 255 printable ASCII characters without spaces. All nodes that are
    /// linked share one secret and have different names.
    options(std::string name, rt::tls::secret shared) : name_(std::move(name)) {
        credentials_.emplace_back(std::move(shared));
    }
    /// Names a node whose certificate proves that name, to others who prove theirs.
    options(std::string name, node_certificate proof) : name_(std::move(name)) {
        credentials_.emplace_back(std::move(proof));
    }
    /// Names a node whose links are plain text: nothing is encrypted, and nobody proves anything.
    /// Whoever reaches the node's address, or is on the way, can read, change and forge messages,
    /// under any node's name. For links within one machine, or where something else secures the
    /// network. One warning is logged when the node starts. It links to other nodes of plain text
    /// only; with others both ends log who speaks what.
    [[nodiscard]] static options insecure_plain_text(std::string name) {
        options made;
        made.name_ = std::move(name);
        return made;
    }

    /// Accepts connections at an address, such as `127.0.0.1:9001`, where port 0 takes a free one,
    /// or at a Unix socket, `unix:/run/a.sock` or, without a file, `unix:@name`; not at the name of
    /// a host. Without it, the node does not accept.
    options& listen(std::string address) {
        listen_ = std::move(address);
        return *this;
    }
    /// Dials a node, and dials it again whenever the link is down: at an address as above, or by
    /// the name of a host, `db.example.org:9001`, which is looked up each time, so that it may
    /// move.
    options& peer(std::string name, std::string address) {
        peers_.emplace_back(std::move(name), std::move(address));
        return *this;
    }
    /// Accepts those who know an older, or a coming, secret as well; dials with the one that was
    /// given first. So a secret is changed without a gap: let all nodes accept the new one, then
    /// let all use the new one and accept the old one, then forget the old one; by
    /// `node::set_credentials`, while they run.
    /// *Requires*: not of plain text, here and below; the start refuses that.
    options& also_accept(rt::tls::secret other) {
        credentials_.emplace_back(std::move(other));
        return *this;
    }
    /// Accepts those who prove their name by a certificate as well, which is how a group changes
    /// from a secret to certificates. As long as a secret is accepted, it lets in any name. A node
    /// has one certificate at most.
    options& also_accept(node_certificate other) {
        credentials_.emplace_back(std::move(other));
        return *this;
    }
    /// Links to nodes of these names only, whatever they know. Without it, to all who know the
    /// secret.
    options& only_peers(std::vector<std::string> names) {
        only_peers_ = std::move(names);
        return *this;
    }
    /// Tells other nodes where this one is reached, such as `192.0.2.1:9001` or
    /// `a.example.org:9001`, when that is not the address at which it listens. They use it when a
    /// connection that they accepted breaks. Without it, a listener's address of loopback or a Unix
    /// socket is told within its machine only.
    options& advertise(std::string address) {
        advertised_ = std::move(address);
        return *this;
    }
    /// Sets times, sizes and counts.
    options& links(const link_settings& settings) {
        links_ = settings;
        return *this;
    }
    /// Has a function called, on the node's worker, for each message that was taken over and then
    /// turned out not to be delivered, with the names of node and actor. It must not block; what
    /// it throws is logged.
    using undelivered_handler =
        std::function<void(std::string_view node, std::string_view actor, protocol::failure why)>;
    options& undelivered(undelivered_handler handler) {
        undelivered_ = std::move(handler);
        return *this;
    }

    /// Listens and dials at addresses such as `memory:a` in a network within the process, for
    /// tests. See <heph/remote/memory_network.hpp>.
    options& network(const memory_network& of);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Is what proves that one belongs to the group.
    using credential = remote::credentials::credential;
    /// Gives what was given: the first one to dial with, all of them to accept. Of plain text,
    /// there are none.
    [[nodiscard]] const std::vector<credential>& credentials() const noexcept {
        return credentials_;
    }
    [[nodiscard]] bool is_plain_text() const noexcept { return is_plain_text_; }
    [[nodiscard]] const std::string& listen_address() const noexcept { return listen_; }
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& peers() const noexcept {
        return peers_;
    }
    [[nodiscard]] const std::vector<std::string>& peers_allowed() const noexcept {
        return only_peers_;
    }
    [[nodiscard]] const std::string& advertised() const noexcept { return advertised_; }
    [[nodiscard]] const link_settings& links() const noexcept { return links_; }
    [[nodiscard]] const undelivered_handler& undelivered() const noexcept { return undelivered_; }

    /// Gives the memory network; null without one.
    [[nodiscard]] const std::shared_ptr<detail::memory_core>& memory() const noexcept {
        return memory_;
    }

private:
    friend class detail::hub;
    options() : is_plain_text_(true) {}

    std::string name_;
    std::vector<credential> credentials_;
    bool is_plain_text_ = false;
    std::string listen_;
    std::string advertised_;
    std::vector<std::string> only_peers_;
    std::vector<std::pair<std::string, std::string>> peers_;
    link_settings links_;
    undelivered_handler undelivered_;
    std::shared_ptr<detail::memory_core> memory_;
};

}  // namespace heph::remote
