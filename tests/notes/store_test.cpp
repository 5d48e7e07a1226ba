#include "notes/store.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/inbox/oneshot.hpp>

#include "notes/note_tag.hpp"
#include "rt/on_runtime.hpp"
#include "temporary_folder.hpp"

using heph::task;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using notes::change_outcome;
using notes::change_reply;
using notes::test::temporary_folder;

namespace {

using store_ref = heph::actor_ref<notes::store_message>;
using replies = std::vector<std::optional<change_reply>>;

notes::put_note a_put(std::string id, std::string body) {
    notes::put_note asked;
    asked.id = std::move(id);
    asked.content_type = "text/plain";
    asked.body = std::move(body);
    return asked;
}

notes::remove_note a_remove(std::string id) {
    notes::remove_note asked;
    asked.id = std::move(id);
    return asked;
}

notes::opened_log open_log(const std::filesystem::path& folder) {
    auto directory = notes::data_dir::open(folder);
    REQUIRE(directory);
    auto log = directory->open_log("a", [](const notes::record&) {});
    REQUIRE(log);
    return std::move(*log);
}

// What a restart would find.
std::map<std::string, std::string> notes_on_disk(const std::filesystem::path& folder) {
    std::map<std::string, std::string> found;
    auto directory = notes::data_dir::open(folder);
    REQUIRE(directory);
    const auto log = directory->open_log("a", [&found](const notes::record& change) {
        if (change.kind == notes::record_kind::put) {
            found[std::string(change.id)] = change.body;
        } else {
            found.erase(std::string(change.id));
        }
    });
    REQUIRE(log);
    CHECK_FALSE(log->found.tail);
    return found;
}

std::size_t frames_on_disk(const std::filesystem::path& folder) {
    std::ifstream file(folder / "notes.log", std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    std::size_t count = 0;
    for (auto at = bytes.find("HNLf"); at != std::string::npos; at = bytes.find("HNLf", at + 1)) {
        ++count;
    }
    return count;
}

struct running_store {
    store_ref ref;
    std::shared_ptr<notes::store_health> health;
};

running_store spawn_store(heph::rt::worker& worker, notes::opened_log log,
                          const notes::store_limits& limits = {}) {
    auto health = std::make_shared<notes::store_health>();
    auto kept =
        std::make_shared<notes::note_store>(notes::note_table(), std::move(log), health, limits);
    heph::actor_options options;
    options.inbox_size = 256;
    return {worker.spawn(std::move(options), heph::no_supervisor(),
                         heph::actor_fn(notes::run_store), std::move(kept)),
            std::move(health)};
}

using reply_receiver = heph::inbox::oneshot_receiver<change_reply>;

task<> keep_reply(reply_receiver from, std::optional<change_reply>& to) {
    auto reply = co_await std::move(from).recv_once();
    if (reply) { to = std::move(*reply); }
}

// Puts a change into the inbox at once, and its answer, when it comes, into `to`.
template <typename Call, typename Request>
void send_change(heph::rt::worker& worker, const store_ref& store, Request asked,
                 std::optional<change_reply>& to) {
    auto [reply, receiver] = heph::inbox::oneshot<change_reply>();
    const auto sent = store.try_emplace<Call>(std::move(asked), std::move(reply));
    REQUIRE(sent);
    worker.spawn_future(keep_reply(std::move(receiver), to));
}

std::vector<change_outcome> outcomes(const replies& answered) {
    std::vector<change_outcome> all;
    for (const auto& reply : answered) {
        REQUIRE(reply);
        all.push_back(reply->outcome);
    }
    return all;
}

}  // namespace

TEST_CASE("notes store: what waits is written and answered as one group", "[notes][store]") {
    const temporary_folder folder;
    replies answered(100);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        // The store has not run yet: all of this waits for it.
        const auto store = spawn_store(worker, open_log(folder.path()));
        for (std::size_t i = 0; i < answered.size(); ++i) {
            send_change<notes::put_call>(worker, store.ref,
                                         a_put("note-" + std::to_string(i), std::to_string(i)),
                                         answered[i]);
        }
    });
    CHECK(outcomes(answered) == std::vector<change_outcome>(100, change_outcome::created));
    CHECK(frames_on_disk(folder.path()) == 1);
    const auto found = notes_on_disk(folder.path());
    CHECK(found.size() == 100);
    CHECK(found.at("note-42") == "42");
}

TEST_CASE("notes store: more than one frame holds takes several groups", "[notes][store]") {
    const temporary_folder folder;
    replies answered(100);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, open_log(folder.path()));
        for (std::size_t i = 0; i < answered.size(); ++i) {
            send_change<notes::put_call>(
                worker, store.ref,
                a_put("note-" + std::to_string(i), std::string(notes::body_bytes_max, 'x')),
                answered[i]);
        }
    });
    CHECK(outcomes(answered) == std::vector<change_outcome>(100, change_outcome::created));
    CHECK(frames_on_disk(folder.path()) == 2);
    CHECK(notes_on_disk(folder.path()).size() == 100);
}

TEST_CASE("notes store: the changes of a group happen in their order", "[notes][store]") {
    const temporary_folder folder;
    replies answered(8);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, open_log(folder.path()));
        const auto put = [&](std::size_t at, std::string body) {
            send_change<notes::put_call>(worker, store.ref, a_put("x", std::move(body)),
                                         answered[at]);
        };
        const auto remove = [&](std::size_t at) {
            send_change<notes::remove_call>(worker, store.ref, a_remove("x"), answered[at]);
        };
        remove(0);
        put(1, "one");
        put(2, "two");
        remove(3);
        remove(4);
        put(5, "three");
        remove(6);
        put(7, "four");
    });
    using enum change_outcome;
    CHECK(outcomes(answered) == std::vector<change_outcome>{absent, created, replaced, removed,
                                                            absent, created, removed, created});
    CHECK(frames_on_disk(folder.path()) == 1);
    CHECK(notes_on_disk(folder.path()) == std::map<std::string, std::string>{{"x", "four"}});
}

TEST_CASE("notes store: of two changes on the same condition only one is made, in a group as well",
          "[notes][store]") {
    const temporary_folder folder;
    const std::string one = notes::tag_of("text/plain", "one").to_string();
    const std::string two = notes::tag_of("text/plain", "two").to_string();
    replies answered(9);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, open_log(folder.path()));
        const auto put = [&](std::size_t at, std::string body, std::vector<std::string> if_match,
                             std::vector<std::string> if_none_match) {
            auto asked = a_put("x", std::move(body));
            asked.if_match = std::move(if_match);
            asked.if_none_match = std::move(if_none_match);
            send_change<notes::put_call>(worker, store.ref, std::move(asked), answered[at]);
        };
        const auto remove = [&](std::size_t at, std::string if_match) {
            auto asked = a_remove("x");
            asked.if_match = {std::move(if_match)};
            send_change<notes::remove_call>(worker, store.ref, std::move(asked), answered[at]);
        };
        put(0, "none", {"*"}, {});
        put(1, "one", {}, {"*"});
        put(2, "other", {}, {"*"});
        put(3, "two", {"\"no\"", one}, {});
        put(4, "other", {one}, {});
        put(5, "other", {}, {two});
        remove(6, one);
        remove(7, two);
        remove(8, two);
    });
    using enum change_outcome;
    CHECK(outcomes(answered) == std::vector<change_outcome>{unmet, created, unmet, replaced, unmet,
                                                            unmet, unmet, removed, absent});
    CHECK(notes_on_disk(folder.path()).empty());
}

TEST_CASE("notes store: removing what is not there writes nothing", "[notes][store]") {
    const temporary_folder folder;
    replies answered(1);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, open_log(folder.path()));
        send_change<notes::remove_call>(worker, store.ref, a_remove("x"), answered[0]);
    });
    CHECK(outcomes(answered) == std::vector<change_outcome>{change_outcome::absent});
    CHECK(frames_on_disk(folder.path()) == 0);
}

TEST_CASE("notes store: what no gateway sends is refused", "[notes][store]") {
    const temporary_folder folder;
    replies answered(4);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, open_log(folder.path()));
        auto typed = a_put("typed", "x");
        typed.content_type = std::string(notes::content_type_bytes_max + 1, 't');
        send_change<notes::put_call>(worker, store.ref, a_put("a\nb", "x"), answered[0]);
        send_change<notes::put_call>(worker, store.ref,
                                     a_put("long", std::string(notes::body_bytes_max + 1, 'x')),
                                     answered[1]);
        send_change<notes::put_call>(worker, store.ref, std::move(typed), answered[2]);
        send_change<notes::remove_call>(worker, store.ref, a_remove(""), answered[3]);
    });
    CHECK(outcomes(answered) == std::vector<change_outcome>(4, change_outcome::refused));
    CHECK(frames_on_disk(folder.path()) == 0);
}

TEST_CASE("notes store: a node that keeps as much as it may refuses more", "[notes][store]") {
    const temporary_folder folder;
    replies answered(5);
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        notes::store_limits limits;
        limits.content_bytes_max = 2000;
        const auto store = spawn_store(worker, open_log(folder.path()), limits);
        for (std::size_t i = 0; i < 4; ++i) {
            send_change<notes::put_call>(worker, store.ref,
                                         a_put("note-" + std::to_string(i), std::string(990, 'x')),
                                         answered[i]);
        }
        send_change<notes::remove_call>(worker, store.ref, a_remove("note-0"), answered[4]);
    });
    using enum change_outcome;
    CHECK(outcomes(answered) == std::vector<change_outcome>{created, full, full, full, removed});
}

namespace {

// Limits the size of files that this process writes, as a full disk would.
class small_files {
public:
    explicit small_files(rlim_t bytes) {
        previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &previous_) == 0);
        rlimit limit = previous_;
        limit.rlim_cur = bytes;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    small_files(const small_files&) = delete;
    small_files& operator=(const small_files&) = delete;
    ~small_files() {
        (void)::setrlimit(RLIMIT_FSIZE, &previous_);
        (void)std::signal(SIGXFSZ, previous_handler_);
    }

private:
    rlimit previous_{};
    void (*previous_handler_)(int) = nullptr;
};

task<> fill_disk(store_ref store, std::shared_ptr<notes::store_health> health, int& checked) {
    auto first_asked = a_put("first", std::string(5'000, 'x'));
    auto first = co_await store.rpc(std::move(first_asked));
    CHECK(first.value().outcome == change_outcome::created);
    auto refused_asked = a_put("large", std::string(20'000, 'x'));
    auto refused = co_await store.rpc(std::move(refused_asked));
    CHECK(refused.value().outcome == change_outcome::full);
    notes::get_note asked;
    asked.id = "large";
    auto read = co_await store.rpc(std::move(asked));
    CHECK_FALSE(read.value().found);
    auto small_asked = a_put("small", "fits");
    auto small = co_await store.rpc(std::move(small_asked));
    CHECK(small.value().outcome == change_outcome::created);
    CHECK_FALSE(health->has_failed.load());
    ++checked;
}

}  // namespace

TEST_CASE("notes store: a full disk refuses the group and nothing else", "[notes][store]") {
    const temporary_folder folder;
    int checked = 0;
    {
        auto log = open_log(folder.path());
        const small_files limit(10'000);
        run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
            const auto store = spawn_store(worker, std::move(log));
            worker.spawn_future(fill_disk(store.ref, store.health, checked));
        });
    }
    CHECK(checked == 1);
    const auto found = notes_on_disk(folder.path());
    CHECK(found.size() == 2);
    CHECK(found.at("small") == "fits");
}

namespace {

// A disk that takes a write only when the test lets it, and cannot be flushed: a full pipe.
class stuck_disk {
public:
    stuck_disk() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read_end_ = ends[0];
        write_end_ = ends[1];
        REQUIRE(::fcntl(write_end_, F_SETPIPE_SZ, 4096) == 4096);
        const std::string page(4096, '-');
        REQUIRE(::write(write_end_, page.data(), page.size()) == 4096);
        REQUIRE(::fcntl(read_end_, F_SETFL, O_NONBLOCK) == 0);
    }
    stuck_disk(const stuck_disk&) = delete;
    stuck_disk& operator=(const stuck_disk&) = delete;
    ~stuck_disk() { ::close(read_end_); }

    // Gives the log that is written to it.
    notes::opened_log take_log() {
        notes::recovery found;
        found.good_bytes = notes::log_header_bytes;
        return {heph::rt::fs::file(write_end_), "stuck", std::move(found)};
    }

    void take_write() const {
        char taken[4096];
        while (::read(read_end_, taken, sizeof(taken)) > 0) {}
    }

private:
    int read_end_ = -1;
    int write_end_ = -1;
};

task<> use_stuck_disk(store_ref store, std::shared_ptr<notes::store_health> health,
                      const stuck_disk& disk, int& checked) {
    auto putting = store.rpc(a_put("x", "body"));
    // The first answer may come before the write begins, the second comes in the middle of it.
    for (int i = 0; i < 2; ++i) {
        notes::get_note asked;
        asked.id = "x";
        auto getting = store.rpc(std::move(asked));
        auto first = co_await heph::either(putting, getting);
        CHECK(first.index() == 1);
        if (first.index() != 1) { co_return; }
        CHECK_FALSE(std::get<1>(first).value().found);  // Not on disk, not to be seen.
    }
    CHECK_FALSE(health->has_failed.load());
    disk.take_write();
    auto answer = co_await putting;
    CHECK(answer.value().outcome == change_outcome::failed);
    CHECK(health->has_failed.load());
    // Nobody knows what is on the disk: no change is taken any more, and reads go on.
    auto later_asked = a_put("y", "body");
    auto later = co_await store.rpc(std::move(later_asked));
    CHECK(later.value().outcome == change_outcome::failed);
    auto removal_asked = a_remove("y");
    auto removal = co_await store.rpc(std::move(removal_asked));
    CHECK(removal.value().outcome == change_outcome::failed);
    auto listed_asked = notes::list_ids();
    auto listed = co_await store.rpc(std::move(listed_asked));
    CHECK(listed.value().ids.empty());
    ++checked;
}

}  // namespace

TEST_CASE("notes store: reads go on while a write is under way", "[notes][store]") {
    int checked = 0;
    const temporary_folder folder;
    stuck_disk disk;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        const auto store = spawn_store(worker, disk.take_log());
        worker.spawn_future(use_stuck_disk(store.ref, store.health, disk, checked));
    });
    CHECK(checked == 1);
}

namespace {

task<> read_pages(store_ref store, std::size_t& ids, std::size_t& pages) {
    std::string after;
    for (;;) {
        notes::list_ids asked;
        asked.after = after;
        auto page = co_await store.rpc(std::move(asked));
        REQUIRE(page);
        ++pages;
        ids += page->ids.size();
        if (page->is_last) { co_return; }
        after = page->ids.back();
    }
}

}  // namespace

TEST_CASE("notes store: ids are listed in pages", "[notes][store]") {
    const temporary_folder folder;
    std::size_t ids = 0;
    std::size_t pages = 0;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        notes::note_table table;
        for (int i = 0; i < 1000; ++i) {
            (void)table.put(std::to_string(i) + std::string(200, '-'),
                            std::make_shared<notes::note>());
        }
        const auto store = worker.spawn(
            heph::no_supervisor(), heph::actor_fn(notes::run_store),
            std::make_shared<notes::note_store>(std::move(table), open_log(folder.path()),
                                                std::make_shared<notes::store_health>()));
        worker.spawn_future(read_pages(store, ids, pages));
    });
    CHECK(ids == 1000);
    CHECK(pages == 4);
}

TEST_CASE("notes store: after a failure of the program changes are refused and reads go on",
          "[notes][store]") {
    const temporary_folder folder;
    const auto health = std::make_shared<notes::store_health>();
    notes::note_table table;
    (void)table.put("x", std::make_shared<notes::note>());
    notes::note_store store(std::move(table), open_log(folder.path()), health);
    const auto outcome_of = [](reply_receiver from) {
        const auto reply = std::move(from).try_recv();
        REQUIRE(reply);
        return reply->outcome;
    };
    auto [queued, queued_answer] = heph::inbox::oneshot<change_reply>();
    store.take(notes::put_call(a_put("y", "body"), std::move(queued)));
    store.give_up("no reason");
    CHECK(outcome_of(std::move(queued_answer)) == change_outcome::failed);
    CHECK(health->has_failed.load());
    CHECK_FALSE(store.has_changes());
    auto [later, later_answer] = heph::inbox::oneshot<change_reply>();
    store.take(notes::remove_call(a_remove("x"), std::move(later)));
    CHECK(outcome_of(std::move(later_answer)) == change_outcome::failed);
    auto [read, read_answer] = heph::inbox::oneshot<notes::get_reply>();
    notes::get_note asked;
    asked.id = "x";
    store.take(notes::get_call(std::move(asked), std::move(read)));
    const auto found = std::move(read_answer).try_recv();
    REQUIRE(found);
    CHECK(found->found);
}
