#include "service.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <expected>
#include <filesystem>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/http/server.hpp>
#include <heph/remote/etcd/client.hpp>
#include <heph/remote/etcd/cluster.hpp>
#include <heph/remote/etcd/shards.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/rt/runtime.hpp>

#include "gateway.hpp"
#include "linked_stores.hpp"
#include "links.hpp"
#include "messages.hpp"
#include "shard_store.hpp"
#include "sharded_stores.hpp"
#include "store.hpp"
#include "stores.hpp"

namespace notes {

namespace {

namespace etcd = heph::remote::etcd;

// The inbox of the store: what waits while it is at work, beyond which senders wait.
constexpr std::size_t store_inbox_size = 1024;

// What one endpoint of etcd may take for an answer: with a lease of a few seconds, another one has
// to be asked soon.
constexpr std::chrono::milliseconds etcd_time{1000};

// How long requests that were sent to another node wait for a broken connection to come back,
// before their clients are told that it is away.
constexpr std::chrono::milliseconds link_grace{2000};

// A program that was killed keeps its addresses for a moment after its end, until the kernel has
// ended what its ring was waiting for. A node waits for that by itself.
constexpr std::chrono::milliseconds address_patience{2000};

// Opens the server, again for a while where its address is taken. Blocks the thread.
std::expected<heph::http::server, std::error_code> open_server(
    const std::shared_ptr<const gateway>& through, const heph::http::server_options& how,
    std::size_t threads) {
    const auto until = std::chrono::steady_clock::now() + address_patience;
    for (;;) {
        auto opened = heph::http::server::open(make_router(through), how, threads);
        if (opened || opened.error() != std::errc::address_in_use ||
            std::chrono::steady_clock::now() >= until) {
            return opened;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void say(const std::string& text) {
    (void)std::printf("notes: %s\n", text.c_str());
    (void)std::fflush(stdout);
}

// Starts the node. Worker 0 makes what all share, while the others wait; then each one serves.
class launch {
public:
    explicit launch(service_parts parts)
        : parts_(std::move(parts)), workers_left_(parts_->settings.threads) {}

    // *Requires*: called once on each worker, on its thread. Throws when the node cannot start.
    void start(heph::rt::worker& worker) {
        if (worker.index() == 0) {
            make(worker);
        } else {
            made_.wait();
        }
        if (failure_) { throw std::runtime_error(failure_->text); }
        server_->start(worker);
        // What keeps the store from ending is the references to it. Those of the server end with
        // its connections; this one here must not outlive them.
        if (workers_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) { server_.reset(); }
    }

    // *Requires*: the runtime has ended.
    [[nodiscard]] const std::optional<refusal>& failure() const noexcept { return failure_; }

private:
    void make(heph::rt::worker& worker) {
        try {
            make_parts(worker);
        } catch (const std::exception& thrown) {
            failure_ = refusal{exit_status::failure, thrown.what()};
        }
        parts_.reset();
        made_.count_down();
    }

    void make_parts(heph::rt::worker& worker) {
        const options& settings = parts_->settings;
        const auto health = std::make_shared<store_health>();
        const auto all =
            settings.etcd.empty() ? open_own(worker, health) : join_cluster(worker, health);
        if (!all) { return; }
        heph::http::server_options http;
        http.address = settings.http;
        const auto through = std::make_shared<const gateway>(all, health);
        auto opened = open_server(through, http, settings.threads);
        if (!opened) {
            failure_ = refusal{exit_status::address, "cannot serve HTTP on " + settings.http +
                                                         ": " + opened.error().message()};
            return;
        }
        server_ = std::move(*opened);
        say("node " + settings.node + " is serving HTTP on " +
            server_->local_endpoint().to_string());
    }

    // Gives null when there is a failure.
    std::shared_ptr<stores> open_own(heph::rt::worker& worker,
                                     const std::shared_ptr<store_health>& health) {
        const options& settings = parts_->settings;
        kept_notes& own = *parts_->own;
        directory_.emplace(std::move(own.directory));
        const auto kept =
            std::make_shared<note_store>(std::move(own.table), std::move(own.log), health);
        heph::actor_options actor;
        actor.name = "store";
        actor.inbox_size = store_inbox_size;
        const auto store =
            worker.spawn(std::move(actor), heph::no_supervisor(), heph::actor_fn(run_store), kept);
        auto others = std::make_shared<links>();
        if (!settings.listen.empty()) {
            auto how = node_options();
            for (const peer& other : settings.peers) { how.peer(other.name, other.address); }
            const auto self = start_node(worker, how);
            if (!self) { return nullptr; }
            self->publish(store_name, store);
            others = std::make_shared<links>(*self, worker.shared());
        }
        return std::make_shared<linked_stores>(std::move(own.nodes), settings.node, store,
                                               std::move(others));
    }

    // Gives null when there is a failure.
    std::shared_ptr<stores> join_cluster(heph::rt::worker& worker,
                                         const std::shared_ptr<store_health>& health) {
        const options& settings = parts_->settings;
        const auto self = start_node(worker, node_options());
        if (!self) { return nullptr; }
        etcd::cluster_settings membership;
        membership.prefix("/notes/").ttl(settings.lease);
        etcd::settings where(settings.etcd);
        where.request_timeout(etcd_time);
        auto cluster = etcd::cluster::join(*self, etcd::client(worker, where), membership);
        if (!cluster) {
            failure_ = refusal{exit_status::address, cluster.error().message()};
            return nullptr;
        }
        etcd::shard_settings shards("notes");
        shards.count(settings.shards);
        const std::filesystem::path data = settings.data;
        auto all = etcd::shards::host(*cluster, shards, [data, health](etcd::shard shard) {
            return run_shard_store(std::move(shard), data, health);
        });
        if (!all) {
            failure_ = refusal{exit_status::failure, all.error().message()};
            return nullptr;
        }
        auto known = std::make_shared<sharded_stores>(*all);
        worker.spawn_future(sharded_stores::follow(known, *all));
        return known;
    }

    [[nodiscard]] heph::remote::options node_options() const {
        heph::remote::options how(parts_->settings.node, *parts_->secret);
        heph::remote::link_settings times;
        times.grace = link_grace;
        how.links(times);
        how.listen(parts_->settings.listen);
        return how;
    }

    std::optional<heph::remote::node> start_node(heph::rt::worker& worker,
                                                 const heph::remote::options& how) {
        auto self = heph::remote::node::start(worker, how);
        if (!self) {
            failure_ = refusal{exit_status::address, self.error().message()};
            return std::nullopt;
        }
        say("node " + how.name() + " is listening for other nodes on " + self->address());
        return std::move(*self);
    }

    std::optional<data_dir> directory_;
    std::optional<service_parts> parts_;
    std::optional<heph::http::server> server_;
    std::optional<refusal> failure_;
    std::latch made_{1};
    std::atomic<std::size_t> workers_left_;
};

}  // namespace

std::expected<void, refusal> run_service(service_parts parts) {
    auto runtime = heph::rt::setup{}
                       .name("notes-" + parts.settings.node)
                       .threads(parts.settings.threads)
                       .build();
    if (!runtime) {
        return std::unexpected(refusal{exit_status::failure, runtime.error().message()});
    }
    const auto starting = std::make_shared<launch>(std::move(parts));
    runtime->run_on_workers([starting](heph::rt::worker& worker) { starting->start(worker); });
    const auto ended = runtime->start();
    if (starting->failure()) { return std::unexpected(*starting->failure()); }
    if (!ended) { return std::unexpected(refusal{exit_status::failure, ended.error().message()}); }
    return {};
}

}  // namespace notes
