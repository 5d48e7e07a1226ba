#include "store.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <limits>
#include <system_error>
#include <vector>

namespace key_value {

namespace {

constexpr std::string_view wrong_count = "ERR wrong number of arguments";
constexpr std::string_view no_integer = "ERR value is not an integer or out of range";
constexpr std::size_t buckets_at_once = 64;
constexpr std::size_t values_bytes_max = 64 * 1024 * 1024;  // Of one reply.
constexpr std::int64_t seconds_max = 10LL * 365 * 24 * 3600;

std::string upper(std::string_view text) {
    std::string made(text);
    std::ranges::transform(made, made.begin(), [](unsigned char letter) {
        return static_cast<char>(std::toupper(letter));
    });
    return made;
}

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end) { return std::nullopt; }
    return value;
}

// A time to live, in milliseconds or seconds; one of more than ten years is refused, so that no sum
// is too large.
std::optional<std::chrono::milliseconds> to_time(std::string_view text,
                                                 std::chrono::milliseconds unit) {
    const auto count = to_integer(text);
    const std::int64_t most = seconds_max * 1'000 / unit.count();
    if (!count || *count < -most || *count > most) { return std::nullopt; }
    return *count * unit;
}

}  // namespace

const store::commands& store::all_commands() {
    static const commands all{
        {"PING", &store::ping},       {"ECHO", &store::echo},       {"SET", &store::set},
        {"GET", &store::get},         {"DEL", &store::del},         {"EXISTS", &store::exists},
        {"INCR", &store::incr},       {"DECR", &store::decr},       {"INCRBY", &store::incrby},
        {"DECRBY", &store::decrby},   {"APPEND", &store::append},   {"STRLEN", &store::strlen},
        {"MSET", &store::mset},       {"MGET", &store::mget},       {"EXPIRE", &store::expire},
        {"PEXPIRE", &store::pexpire}, {"TTL", &store::ttl},         {"PERSIST", &store::persist},
        {"DBSIZE", &store::dbsize},   {"FLUSHALL", &store::flush},  {"FLUSHDB", &store::flush},
        {"CONFIG", &store::config},   {"COMMAND", &store::command},
    };
    return all;
}

bool store::run(const request& what, time_point now, std::string& reply) {
    const std::string name = upper(what.front());
    if (name == "QUIT") {
        append_simple(reply, "OK");
        return false;
    }
    const auto found = all_commands().find(name);
    if (found == all_commands().end()) {
        append_error(reply, "ERR unknown command");
    } else {
        (this->*found->second)(what, now, reply);
    }
    return true;
}

void store::expire_some(time_point now) {
    std::vector<std::string> gone;
    for (std::size_t i = 0; i < std::min(buckets_at_once, entries_.bucket_count()); ++i) {
        next_bucket_ = (next_bucket_ + 1) % entries_.bucket_count();
        for (auto at = entries_.begin(next_bucket_); at != entries_.end(next_bucket_); ++at) {
            if (at->second.expires && *at->second.expires <= now) { gone.push_back(at->first); }
        }
    }
    for (const std::string& key : gone) { entries_.erase(key); }
}

store::entry* store::find(const std::string& key, time_point now) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) { return nullptr; }
    if (found->second.expires && *found->second.expires <= now) {
        entries_.erase(found);
        return nullptr;
    }
    return &found->second;
}

void store::ping(const request& what, time_point /*now*/, std::string& reply) {
    if (what.size() == 1) {
        append_simple(reply, "PONG");
    } else {
        append_bulk(reply, what[1]);
    }
}

void store::echo(const request& what, time_point /*now*/, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    append_bulk(reply, what[1]);
}

// SET key value [EX seconds | PX milliseconds] [NX | XX]
void store::set(const request& what, time_point now, std::string& reply) {
    if (what.size() < 3) { return append_error(reply, wrong_count); }
    std::optional<time_point> expires;
    bool only_new = false;
    bool only_there = false;
    for (std::size_t i = 3; i < what.size(); ++i) {
        const std::string option = upper(what[i]);
        if (option == "NX" && !only_there) {
            only_new = true;
        } else if (option == "XX" && !only_new) {
            only_there = true;
        } else if ((option == "EX" || option == "PX") && i + 1 < what.size() && !expires) {
            const std::chrono::milliseconds unit(option == "EX" ? 1'000 : 1);
            const auto time = to_time(what[++i], unit);
            if (!time) { return append_error(reply, no_integer); }
            if (time->count() <= 0) {
                return append_error(reply, "ERR invalid expire time in 'set' command");
            }
            expires = now + *time;
        } else {
            return append_error(reply, "ERR syntax error");
        }
    }
    const bool there = find(what[1], now) != nullptr;
    if ((only_new && there) || (only_there && !there)) { return append_nothing(reply); }
    entries_[what[1]] = {what[2], expires};
    append_simple(reply, "OK");
}

void store::get(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    if (const entry* found = find(what[1], now)) {
        append_bulk(reply, found->value);
    } else {
        append_nothing(reply);
    }
}

void store::del(const request& what, time_point now, std::string& reply) {
    if (what.size() < 2) { return append_error(reply, wrong_count); }
    std::int64_t count = 0;
    for (std::size_t i = 1; i < what.size(); ++i) {
        if (find(what[i], now) != nullptr) { count += entries_.erase(what[i]) != 0 ? 1 : 0; }
    }
    append_integer(reply, count);
}

void store::exists(const request& what, time_point now, std::string& reply) {
    if (what.size() < 2) { return append_error(reply, wrong_count); }
    std::int64_t count = 0;
    for (std::size_t i = 1; i < what.size(); ++i) { count += find(what[i], now) ? 1 : 0; }
    append_integer(reply, count);
}

void store::add(const std::string& key, std::string_view amount, bool subtract, time_point now,
                std::string& reply) {
    entry* found = find(key, now);
    const auto value = found ? to_integer(found->value) : std::optional<std::int64_t>(0);
    const auto change = to_integer(amount);
    if (!value || !change) { return append_error(reply, no_integer); }
    std::int64_t sum = 0;
    const bool overflows = subtract ? __builtin_sub_overflow(*value, *change, &sum)
                                    : __builtin_add_overflow(*value, *change, &sum);
    if (overflows) { return append_error(reply, "ERR increment or decrement would overflow"); }
    if (found != nullptr) {
        found->value = std::to_string(sum);
    } else {
        entries_[key] = {std::to_string(sum), std::nullopt};
    }
    append_integer(reply, sum);
}

void store::incr(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    add(what[1], "1", false, now, reply);
}
void store::decr(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    add(what[1], "1", true, now, reply);
}
void store::incrby(const request& what, time_point now, std::string& reply) {
    if (what.size() != 3) { return append_error(reply, wrong_count); }
    add(what[1], what[2], false, now, reply);
}
void store::decrby(const request& what, time_point now, std::string& reply) {
    if (what.size() != 3) { return append_error(reply, wrong_count); }
    add(what[1], what[2], true, now, reply);
}

void store::append(const request& what, time_point now, std::string& reply) {
    if (what.size() != 3) { return append_error(reply, wrong_count); }
    entry* found = find(what[1], now);
    if (found == nullptr) { found = &entries_[what[1]]; }
    if (found->value.size() + what[2].size() > request_reader::string_bytes_max) {
        return append_error(reply, "ERR string exceeds maximum allowed size");
    }
    found->value += what[2];
    append_integer(reply, static_cast<std::int64_t>(found->value.size()));
}

void store::strlen(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    const entry* found = find(what[1], now);
    append_integer(reply, found ? static_cast<std::int64_t>(found->value.size()) : 0);
}

void store::mset(const request& what, time_point /*now*/, std::string& reply) {
    if (what.size() < 3 || what.size() % 2 == 0) { return append_error(reply, wrong_count); }
    for (std::size_t i = 1; i < what.size(); i += 2) {
        entries_[what[i]] = {what[i + 1], std::nullopt};
    }
    append_simple(reply, "OK");
}

void store::mget(const request& what, time_point now, std::string& reply) {
    if (what.size() < 2) { return append_error(reply, wrong_count); }
    std::size_t bytes = 0;
    for (std::size_t i = 1; i < what.size(); ++i) {
        if (const entry* found = find(what[i], now)) { bytes += found->value.size(); }
    }
    if (bytes > values_bytes_max) {
        return append_error(reply, "ERR these values are too large together");
    }
    append_array(reply, what.size() - 1);
    for (std::size_t i = 1; i < what.size(); ++i) {
        if (const entry* found = find(what[i], now)) {
            append_bulk(reply, found->value);
        } else {
            append_nothing(reply);
        }
    }
}

void store::set_time(const request& what, std::chrono::milliseconds unit, time_point now,
                     std::string& reply) {
    if (what.size() != 3) { return append_error(reply, wrong_count); }
    const auto time = to_time(what[2], unit);
    if (!time) { return append_error(reply, no_integer); }
    entry* found = find(what[1], now);
    if (found == nullptr) { return append_integer(reply, 0); }
    found->expires = now + *time;
    append_integer(reply, 1);
}

void store::expire(const request& what, time_point now, std::string& reply) {
    set_time(what, std::chrono::milliseconds(1'000), now, reply);
}
void store::pexpire(const request& what, time_point now, std::string& reply) {
    set_time(what, std::chrono::milliseconds(1), now, reply);
}

void store::ttl(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    const entry* found = find(what[1], now);
    if (found == nullptr) { return append_integer(reply, -2); }
    if (!found->expires) { return append_integer(reply, -1); }
    append_integer(reply, std::chrono::ceil<std::chrono::seconds>(*found->expires - now).count());
}

void store::persist(const request& what, time_point now, std::string& reply) {
    if (what.size() != 2) { return append_error(reply, wrong_count); }
    entry* found = find(what[1], now);
    const bool had_one = found != nullptr && found->expires.has_value();
    if (had_one) { found->expires.reset(); }
    append_integer(reply, had_one ? 1 : 0);
}

void store::dbsize(const request& /*what*/, time_point /*now*/, std::string& reply) {
    append_integer(reply, static_cast<std::int64_t>(entries_.size()));
}

void store::flush(const request& /*what*/, time_point /*now*/, std::string& reply) {
    entries_.clear();
    append_simple(reply, "OK");
}

// redis-benchmark asks for two settings, redis-cli for the commands' help: there are none.
void store::config(const request& /*what*/, time_point /*now*/, std::string& reply) {
    append_array(reply, 0);
}
void store::command(const request& /*what*/, time_point /*now*/, std::string& reply) {
    append_array(reply, 0);
}

}  // namespace key_value
