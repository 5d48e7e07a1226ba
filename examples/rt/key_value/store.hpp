#pragma once

// The data, and the commands on it.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "resp.hpp"

namespace key_value {

/// Keeps strings by their keys, some of them until a point in time.
///
/// *Thread safety*: unsafe: it belongs to the worker that serves.
class store {
public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Does what a request says, and appends the reply. Tells whether the connection goes on.
    /// *Requires*: the request is not empty.
    bool run(const request& what, time_point now, std::string& reply);

    /// Forgets keys whose time has come, looking at a few each time.
    void expire_some(time_point now);

private:
    struct entry {
        std::string value;
        std::optional<time_point> expires;
    };
    using commands = std::unordered_map<std::string_view,
                                        void (store::*)(const request&, time_point, std::string&)>;
    static const commands& all_commands();

    entry* find(const std::string& key, time_point now);
    void add(const std::string& key, std::string_view amount, bool subtract, time_point now,
             std::string& reply);
    void set_time(const request& what, std::chrono::milliseconds unit, time_point now,
                  std::string& reply);

    void ping(const request& what, time_point now, std::string& reply);
    void echo(const request& what, time_point now, std::string& reply);
    void set(const request& what, time_point now, std::string& reply);
    void get(const request& what, time_point now, std::string& reply);
    void del(const request& what, time_point now, std::string& reply);
    void exists(const request& what, time_point now, std::string& reply);
    void incr(const request& what, time_point now, std::string& reply);
    void decr(const request& what, time_point now, std::string& reply);
    void incrby(const request& what, time_point now, std::string& reply);
    void decrby(const request& what, time_point now, std::string& reply);
    void append(const request& what, time_point now, std::string& reply);
    void strlen(const request& what, time_point now, std::string& reply);
    void mset(const request& what, time_point now, std::string& reply);
    void mget(const request& what, time_point now, std::string& reply);
    void expire(const request& what, time_point now, std::string& reply);
    void pexpire(const request& what, time_point now, std::string& reply);
    void ttl(const request& what, time_point now, std::string& reply);
    void persist(const request& what, time_point now, std::string& reply);
    void dbsize(const request& what, time_point now, std::string& reply);
    void flush(const request& what, time_point now, std::string& reply);
    void config(const request& what, time_point now, std::string& reply);
    void command(const request& what, time_point now, std::string& reply);

    std::unordered_map<std::string, entry> entries_;
    std::size_t next_bucket_ = 0;
};

}  // namespace key_value
