%% The two ends with Erlang's distribution, as in `ends.hpp`; see `compare` for how they are started.
%%
%%     -s remote_bench main -extra serve
%%     -s remote_bench main -extra NODE BODY_BYTES one-way|requests COUNT
-module(remote_bench).
-export([main/0]).

main() ->
    case init:get_plain_arguments() of
        ["serve"] ->
            register(sink, self()),
            io:format("~s~n", [node()]),
            sink(0);
        [Node, Bytes, Kind, Count] ->
            Server = {sink, list_to_atom(Node)},
            Body = binary:copy(<<"x">>, list_to_integer(Bytes)),
            pong = net_adm:ping(list_to_atom(Node)),
            measure(Kind, Server, Body, list_to_integer(Count)),
            halt(0)
    end.

sink(Bytes) ->
    receive
        {data, Body} -> sink(Bytes + byte_size(Body));
        {count, From, Ref} -> From ! {Ref, Bytes}, sink(0);
        {echo, From, Ref, Body} -> From ! {Ref, Body}, sink(Bytes)
    end.

measure("one-way", Server, Body, Count) ->
    Start = erlang:monotonic_time(nanosecond),
    send(Server, Body, Count),
    Ref = make_ref(),
    Server ! {count, self(), Ref},
    Expected = Count * byte_size(Body),
    receive {Ref, Expected} -> ok end,
    Took = erlang:monotonic_time(nanosecond) - Start,
    io:format("~b~n", [round(Count * 1.0e9 / Took)]);
measure("requests", Server, Body, Count) ->
    Times = lists:sort(requests(Server, Body, Count, [])),
    At = fun(Part) -> lists:nth(1 + trunc(Part * (Count - 1)), Times) / 1000 end,
    io:format("~.1f ~.1f~n", [At(0.5), At(0.99)]).

send(_, _, 0) -> ok;
send(Server, Body, Left) ->
    Server ! {data, Body},
    send(Server, Body, Left - 1).

requests(_, _, 0, Times) -> Times;
requests(Server, Body, Left, Times) ->
    Start = erlang:monotonic_time(nanosecond),
    Ref = make_ref(),
    Server ! {echo, self(), Ref, Body},
    receive {Ref, _} -> ok end,
    requests(Server, Body, Left - 1, [erlang:monotonic_time(nanosecond) - Start | Times]).
