// A node of a cluster under test: does what lines on its standard input say, and tells on its
// standard output, as JSON, one object a line. Ends when its input does.
//
//     flow PEER PAUSE_MS BURST COUNT BYTES    sends numbered messages (flow.hpp)
//     end                                     lets the flows end
//     watch PEER                              tells, once, that this run of the peer is lost
//     group PREFIX                            follows who is published below it (remote_group)
//     publish NAME                            publishes one more actor, which drops what it gets
//     unpublish NAME                          takes it back
//     status                                  tells what there is

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/etcd/cluster.hpp>
#include <heph/remote/etcd/shards.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/remote/remote_group.hpp>
#include <heph/remote/route.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/tls/secret.hpp>

#include "flow.hpp"
#include "shard_records.hpp"

namespace {

namespace etcd = heph::remote::etcd;
namespace remote = heph::remote;
using namespace cluster_test;

/// Holds `--name value` pairs; a name may be repeated.
class settings {
public:
    settings(int count, char** arguments) {
        for (int at = 1; at + 1 < count; at += 2) {
            all_.emplace(arguments[at], arguments[at + 1]);
        }
    }
    [[nodiscard]] std::string text(const std::string& name, std::string otherwise = {}) const {
        const auto at = all_.find(name);
        return at == all_.end() ? std::move(otherwise) : at->second;
    }
    [[nodiscard]] std::chrono::milliseconds time(const std::string& name,
                                                 std::chrono::milliseconds otherwise) const {
        const auto at = all_.find(name);
        return at == all_.end() ? otherwise : std::chrono::milliseconds(std::stoll(at->second));
    }
    [[nodiscard]] std::vector<std::string> each(const std::string& name) const {
        std::vector<std::string> found;
        const auto [begin, end] = all_.equal_range(name);
        for (auto at = begin; at != end; ++at) { found.push_back(at->second); }
        return found;
    }

private:
    std::multimap<std::string, std::string> all_;
};

void tell(const std::string& line) {
    (void)std::printf("%s\n", line.c_str());
    (void)std::fflush(stdout);
}

std::string in_quotes(std::string_view word) { return '"' + std::string(word) + '"'; }

/// Is all that runs in this process.
struct program {
    explicit program(const settings& how)
        : records(std::make_shared<ledger>(how.text("--ledger"))),
          book(std::make_shared<flow_book>(records, how.text("--label"))) {}

    std::shared_ptr<const ledger> records;
    std::shared_ptr<flow_book> book;
    std::optional<remote::node> self;
    std::optional<etcd::cluster> membership;
    std::optional<etcd::shards> hosted;
    std::optional<remote::remote_group<numbered>> group;
};

remote::options node_options(const settings& how, const std::shared_ptr<flow_book>& book) {
    const std::string_view words = "the secret of a cluster under test";
    auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    remote::options made(how.text("--name"), secret.value());
    made.listen(how.text("--listen"));
    for (const auto& peer : how.each("--peer")) {
        const auto equals = peer.find('=');
        made.peer(peer.substr(0, equals), peer.substr(equals + 1));
    }
    remote::link_settings links;
    links.heartbeat = how.time("--heartbeat", links.heartbeat);
    links.silence = how.time("--silence", links.silence);
    links.grace = how.time("--grace", links.grace);
    links.patience = how.time("--patience", links.patience);
    links.pause_max = how.time("--pause-max", links.pause_max);
    // A machine under load takes its time to end what a killed node had.
    links.listen_retry = std::chrono::seconds(30);
    made.links(links);
    made.undelivered([book](std::string_view node, std::string_view, remote::failure why) {
        const auto flow = book->label + '>' + std::string(node);
        book->records->add("U " + flow + ' ' + std::string(to_string(why)));
        ++book->totals[flow].undelivered;
    });
    return made;
}

void start(heph::rt::worker& worker, const settings& how, program& all) {
    auto self = remote::node::start(worker, node_options(how, all.book));
    if (!self) { throw std::runtime_error(self.error().message()); }
    all.self = std::move(*self);
    heph::actor_options inbox;
    inbox.inbox_size = 64;
    all.self->publish(sink_name, worker.spawn(std::move(inbox), heph::no_supervisor(),
                                              heph::actor_fn(run_sink), all.book));
    if (const auto where = how.text("--etcd"); !where.empty()) {
        etcd::settings asked({where});
        asked.request_timeout(how.time("--etcd-timeout", std::chrono::milliseconds(1000)));
        etcd::cluster_settings member;
        member.ttl(std::chrono::duration_cast<std::chrono::seconds>(
            how.time("--ttl", std::chrono::milliseconds(3000))));
        all.membership =
            etcd::cluster::join(*all.self, etcd::client(worker, asked), member).value();
        etcd::shard_settings set("records");
        set.count(static_cast<std::uint32_t>(std::stoul(how.text("--shards", "12"))));
        all.hosted =
            etcd::shards::host(*all.membership, set, [records = all.records](etcd::shard s) {
                return run_shard(std::move(s), records);
            }).value();
    }
    tell(R"({"event": "ready", "address": )" + in_quotes(all.self->address()) + '}');
}

std::string group_of(program& all);

std::string status_of(program& all) {
    std::string text = R"({"event": "status", "linked": [)";
    const char* comma = "";
    for (const auto& peer : all.self->peers()) {
        if (!peer.linked) { continue; }
        text += comma + in_quotes(peer.name);
        comma = ", ";
    }
    text += R"(], "flows": {)";
    comma = "";
    for (const auto& [flow, totals] : all.book->totals) {
        text += comma + in_quotes(flow) + R"(: {"done": )" + (totals.is_done ? "true" : "false") +
                R"(, "accepted": )" + std::to_string(totals.accepted) + R"(, "refused": )" +
                std::to_string(totals.refused) + R"(, "undelivered": )" +
                std::to_string(totals.undelivered) + '}';
        comma = ", ";
    }
    text += R"(}, "got": {)";
    comma = "";
    for (const auto& [flow, count] : all.book->got) {
        text += comma + in_quotes(flow) + ": " + std::to_string(count);
        comma = ", ";
    }
    text += R"(}, "shards": [)";
    comma = "";
    if (all.hosted) {
        for (const auto number : all.hosted->hosted()) {
            text += comma + std::to_string(number);
            comma = ", ";
        }
    }
    return text + R"(], "group": )" + group_of(all) + R"(, "member": )" +
           (all.membership && all.membership->current() ? "true" : "false") + '}';
}

std::string group_of(program& all) {
    std::string text = "[";
    if (!all.group) { return text + ']'; }
    const char* comma = "";
    for (const auto& each : all.group->members()) {
        const std::string mark = each.is_away ? "?" : "";
        text += comma + in_quotes(mark + each.actor.node_name() + '/' + each.actor.actor_name());
        comma = ", ";
    }
    return text + ']';
}

// Tells each change of the group, as it comes.
heph::task<> tell_changes(remote::group_changes<numbered> from) {
    using kind = remote::group_change<numbered>::kind;
    for (;;) {
        auto waiting = from.next();
        const auto next = co_await waiting;
        if (!next) { break; }
        const auto what = next->what;
        const std::string word = what == kind::joined ? "joined"
                                 : what == kind::left ? "left"
                                 : what == kind::away ? "away"
                                                      : "back";
        tell(R"({"event": "group", "what": )" + in_quotes(word) + R"(, "who": )" +
             in_quotes(next->actor.node_name() + '/' + next->actor.actor_name()) + '}');
    }
}

heph::task<> watch(remote::node self, std::string peer) {
    const auto why = co_await self.watch(peer);
    tell(R"({"event": "lost", "peer": )" + in_quotes(peer) + R"(, "why": )" +
         in_quotes(to_string(why)) + '}');
}

void obey(heph::rt::worker& worker, program& all, const std::string& line) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "flow") {
        flow_plan plan;
        std::int64_t pause_ms = 0;
        words >> plan.peer >> pause_ms >> plan.burst >> plan.count >> plan.bytes;
        plan.pause = std::chrono::milliseconds(pause_ms);
        worker.spawn_future(run_flow(*all.self, all.book, std::move(plan)));
    } else if (what == "end") {
        all.book->ends = true;
    } else if (what == "watch") {
        std::string peer;
        words >> peer;
        worker.spawn_future(watch(*all.self, std::move(peer)));
    } else if (what == "group") {
        std::string prefix;
        words >> prefix;
        all.group.emplace(remote::remote_group<numbered>::below(*all.self, prefix));
        worker.spawn_future(tell_changes(all.group->changes()));
    } else if (what == "publish" || what == "unpublish") {
        std::string name;
        words >> name;
        if (what == "publish") {
            all.self->publish(name, remote::route::to_nothing<numbered>());
        } else {
            all.self->unpublish(name);
        }
    } else if (what == "status") {
        tell(status_of(all));
    } else {
        throw std::runtime_error("unknown: " + line);
    }
}

heph::task<> read_lines(heph::rt::worker worker, std::shared_ptr<program> all) {
    auto input = heph::rt::standard_input();
    std::string text;
    for (;;) {
        auto got = co_await input.read(heph::rt::buffer::with_capacity(4096));
        if (!got || got->size() == 0) { break; }
        const auto bytes = std::as_const(*got).bytes();
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            obey(worker, *all, text.substr(0, end));
            text.erase(0, end + 1);
        }
    }
    worker.request_stop();
}

int run(const settings& how) {
    auto runtime = heph::rt::setup{}.name("cluster-" + how.text("--name")).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    const auto all = std::make_shared<program>(how);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        start(worker, how, *all);
        worker.spawn_future(read_lines(worker, all));
    });
    return heph::rt::report(runtime->start());
}

}  // namespace

int main(int count, char** arguments) {
    try {
        return run(settings(count, arguments));
    } catch (const std::exception& thrown) {
        (void)std::fprintf(stderr, "cluster_node: %s\n", thrown.what());
        return 1;
    }
}
