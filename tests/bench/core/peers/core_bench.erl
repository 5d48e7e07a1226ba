%% The workloads of `workloads.hpp` with Erlang/OTP: one scheduler, see `compare` for its flags.
-module(core_bench).
-export([main/0, lives_once/1, player/1, node/1, producer/2, consumer/2, server/0, fails/0, throws/0,
         idle/0]).

main() ->
    logger:set_primary_config(level, none),
    Names = init:get_plain_arguments(),
    Wanted = fun(Name) -> Names =:= [] orelse lists:member(Name, Names) end,
    Wanted("idle") andalso in_own_process(fun() -> idle_memory(100000) end),
    [run(Name, Workload, Count) || {Name, Workload, Count} <- workloads(), Wanted(Name)],
    halt(0).

workloads() ->
    [{"spawn", fun spawns/1, 200000},
     {"ping_pong", fun ping_pong/1, 500000},
     {"fan_in", fun fan_in/1, 1000000},
     {"ring", fun ring/1, 500000},
     {"rpc", fun calls/1, 500000},
     {"restart_error", fun(Count) -> restarts(fails, Count) end, 100000},
     {"restart_exception", fun(Count) -> restarts(throws, Count) end, 30000},
     {"timer_cancel", fun timers/1, 1000000}].

run(Name, Workload, Count) ->
    in_own_process(fun() ->
        Workload(Count div 20 div 100 * 100),
        io:format("~s ~.2f~n", [Name, Workload(Count)])
    end).

%% With a heap and a mailbox of its own, so that no workload pays for the garbage of another.
in_own_process(Fun) ->
    {Pid, Ref} = spawn_monitor(Fun),
    receive {'DOWN', Ref, process, Pid, normal} -> ok end.

now_ns() -> erlang:monotonic_time(nanosecond).

%% ---- Spawn, one message, finish: in waves of 100, the last of which tells the parent ----

lives_once(Parent) ->
    receive
        0 -> ok;
        Last -> Parent ! Last
    end.

spawns(Count) ->
    Start = now_ns(),
    waves(self(), Count div 100),
    (now_ns() - Start) / Count.

waves(_, 0) -> ok;
waves(Self, Left) ->
    wave(Self, 99),
    Pid = spawn(?MODULE, lives_once, [Self]),
    Pid ! 1,
    receive 1 -> waves(Self, Left - 1) end.

wave(_, 0) -> ok;
wave(Self, Left) ->
    Pid = spawn(?MODULE, lives_once, [Self]),
    Pid ! 0,
    wave(Self, Left - 1).

%% ---- Ping-pong ----

player(Parent) ->
    receive {partner, Other} -> player(Parent, Other) end.

player(Parent, Other) ->
    receive
        0 -> Parent ! done, exit(Other, kill);
        Left -> Other ! Left - 1, player(Parent, Other)
    end.

ping_pong(Count) ->
    One = spawn(?MODULE, player, [self()]),
    Two = spawn(?MODULE, player, [self()]),
    One ! {partner, Two},
    Two ! {partner, One},
    Start = now_ns(),
    One ! 2 * Count,
    receive done -> (now_ns() - Start) / Count end.

%% ---- Fan-in ----

producer(_, 0) -> ok;
producer(To, Left) -> To ! Left, producer(To, Left - 1).

consumer(Parent, 0) -> Parent ! done;
consumer(Parent, Left) -> receive _ -> consumer(Parent, Left - 1) end.

fan_in(Count) ->
    Each = Count div 100,
    %% What the efficiency guide recommends for a process that gets many messages.
    To = spawn_opt(?MODULE, consumer, [self(), 100 * Each], [{message_queue_data, off_heap}]),
    Start = now_ns(),
    [spawn(?MODULE, producer, [To, Each]) || _ <- lists:seq(1, 100)],
    receive done -> (now_ns() - Start) / (100 * Each) end.

%% ---- A ring of 503 ----

node(Parent) -> receive {next, Next} -> node(Parent, Next) end.

node(Parent, Next) ->
    receive
        stop -> ok;
        0 -> Parent ! done, node(Parent, Next);
        Left -> Next ! Left - 1, node(Parent, Next)
    end.

ring(Count) ->
    Self = self(),
    All = [First | Rest] = [spawn(?MODULE, node, [Self]) || _ <- lists:seq(1, 503)],
    [Pid ! {next, Next} || {Pid, Next} <- lists:zip(All, Rest ++ [First])],
    Start = now_ns(),
    First ! Count,
    receive done -> ok end,
    Took = (now_ns() - Start) / Count,
    [Pid ! stop || Pid <- All],
    Took.

%% ---- RPC: without the monitor that gen_server:call would add ----

server() ->
    receive
        stop -> ok;
        {From, Ref, Request} -> From ! {Ref, Request + 1}, server()
    end.

call(Server, Request) ->
    Ref = make_ref(),
    Server ! {self(), Ref, Request},
    receive {Ref, Answer} -> Answer end.

calls(Count) ->
    Server = spawn(?MODULE, server, []),
    Start = now_ns(),
    Count = calls(Server, 0, Count),
    Took = (now_ns() - Start) / Count,
    Server ! stop,
    Took.

calls(_, Count, Count) -> Count;
calls(Server, Value, Count) -> calls(Server, call(Server, Value), Count).

%% ---- Restart: a parent that is linked, as a supervisor is, and spawns again ----

fails() -> receive _ -> exit(fault) end.
throws() -> receive _ -> error(fault) end.

restarts(Function, Count) ->
    process_flag(trap_exit, true),
    Start = now_ns(),
    restart(Function, Count),
    (now_ns() - Start) / Count.

restart(_, 0) -> ok;
restart(Function, Left) ->
    Pid = spawn_link(?MODULE, Function, []),
    Pid ! 1,
    receive {'EXIT', Pid, _} -> restart(Function, Left - 1) end.

%% ---- A timer set and cancelled, with 1,000,000 others, which wait in another process's name ----

timers(Count) ->
    Parent = self(),
    {Others, Ref} = spawn_monitor(fun() ->
        set_timers(1000000),
        Parent ! set,
        receive stop -> ok end
    end),
    receive set -> ok end,
    Start = now_ns(),
    set_and_cancel(Count),
    Took = (now_ns() - Start) / Count,
    Others ! stop,
    receive {'DOWN', Ref, process, Others, normal} -> Took end.

%% In an hour, or up to an hour later.
later(Number) -> 3600000 + Number * 3571 rem 3600000.

set_timers(0) -> ok;
set_timers(Left) ->
    erlang:send_after(later(Left), self(), late),
    set_timers(Left - 1).

set_and_cancel(0) -> ok;
set_and_cancel(Left) ->
    erlang:cancel_timer(erlang:send_after(later(Left), self(), late)),
    set_and_cancel(Left - 1).

%% ---- Memory of an idle process ----

idle() -> receive stop -> ok end.

resident() ->
    {ok, File} = file:open("/proc/self/statm", [read, raw]),
    {ok, Line} = file:read_line(File),
    ok = file:close(File),
    [_, Pages | _] = string:lexemes(Line, " "),
    list_to_integer(Pages) * 4096.

idle_memory(Count) ->
    Before = {erlang:memory(processes_used), resident()},
    All = [spawn(?MODULE, idle, []) || _ <- lists:seq(1, Count)],
    After = {erlang:memory(processes_used), resident()},
    Each = fun(At) -> (element(At, After) - element(At, Before)) / Count end,
    io:format("idle_counted ~.1f~nidle_resident ~.1f~n", [Each(1), Each(2)]),
    [Pid ! stop || Pid <- All],
    ok.
