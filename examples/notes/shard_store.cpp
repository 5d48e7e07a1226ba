#include "shard_store.hpp"

#include <chrono>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/log.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/blocking.hpp>

#include "data_dir.hpp"
#include "log_replay.hpp"
#include "note_table.hpp"

namespace notes {

namespace {

constexpr std::size_t store_inbox_size = 1024;
// The owner before may have ended a moment ago.
constexpr std::chrono::milliseconds lock_patience{1000};

/// Is the folder of a shard, which stays locked, with its log and what that holds.
struct opened_shard {
    data_dir folder;
    opened_log log;
    note_table table;
};

std::expected<opened_shard, std::string> open_shard(const std::filesystem::path& path,
                                                    const std::string& name) {
    auto folder = data_dir::open(path, lock_patience);
    if (!folder) { return std::unexpected(std::move(folder.error())); }
    note_table table;
    auto log = folder->open_log(name, [&table](const record& change) { apply(change, table); });
    if (!log) { return std::unexpected(std::move(log.error())); }
    report_torn_tail(*log);
    if (is_worth_rewriting(log->found, table)) {
        auto rewritten = folder->rewrite_log(name, table);
        if (!rewritten) { return std::unexpected(std::move(rewritten.error())); }
        log = std::move(rewritten);
    }
    return opened_shard{std::move(*folder), std::move(*log), std::move(table)};
}

}  // namespace

heph::task<> run_shard_store(heph::remote::etcd::shard self, std::filesystem::path data,
                             std::shared_ptr<store_health> health) {
    const std::string name = "shard-" + std::to_string(self.number());
    auto opening =
        heph::rt::spawn_blocking([path = data / name, name] { return open_shard(path, name); });
    auto opened = co_await opening;
    if (!opened) { throw std::runtime_error(opened.error()); }
    auto store = std::make_shared<note_store>(std::move(opened->table), std::move(opened->log),
                                              std::move(health));
    heph::actor_options how;
    how.name = name;
    how.inbox_size = store_inbox_size;
    auto serving =
        heph::remote::etcd::host_actor(std::move(self), std::move(how), heph::no_supervisor(),
                                       heph::actor_fn(run_store), std::move(store));
    co_await serving;
}

}  // namespace notes
