#include "service.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/http/server.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/rt/runtime.hpp>

#include "gateway.hpp"
#include "links.hpp"
#include "messages.hpp"
#include "store.hpp"

namespace notes {

namespace {

// The inbox of the store: what waits while it is at work, beyond which senders wait.
constexpr std::size_t store_inbox_size = 1024;

// How long requests that were sent to another node wait for a broken connection to come back,
// before their clients are told that it is away.
constexpr std::chrono::milliseconds link_grace{2000};

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
        const auto kept =
            std::make_shared<note_store>(std::move(parts_->table), std::move(parts_->log), health);
        heph::actor_options actor;
        actor.name = "store";
        actor.inbox_size = store_inbox_size;
        const auto store =
            worker.spawn(std::move(actor), heph::no_supervisor(), heph::actor_fn(run_store), kept);
        const auto others = link_nodes(worker, store);
        if (!others) { return; }
        auto through =
            std::make_shared<const gateway>(parts_->nodes, settings.node, store, health, others);
        heph::http::server_options http;
        http.address = settings.http;
        auto opened =
            heph::http::server::open(make_router(std::move(through)), http, settings.threads);
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
    std::shared_ptr<links> link_nodes(heph::rt::worker& worker,
                                      const heph::actor_ref<store_message>& store) {
        const options& settings = parts_->settings;
        if (settings.listen.empty()) { return std::make_shared<links>(); }
        heph::remote::options how(settings.node, *parts_->secret);
        heph::remote::link_settings times;
        times.grace = link_grace;
        how.links(times);
        how.listen(settings.listen);
        for (const peer& other : settings.peers) { how.peer(other.name, other.address); }
        auto self = heph::remote::node::start(worker, how);
        if (!self) {
            failure_ = refusal{exit_status::address, self.error().message()};
            return nullptr;
        }
        self->publish(store_name, store);
        say("node " + settings.node + " is listening for other nodes on " + self->address());
        return std::make_shared<links>(std::move(*self));
    }

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
