import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Starts one node of OpenSearch: its name, its two ports, and the folder for all it writes. */
public class Launcher {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        runner.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", arguments[1]);
            settings.put("transport.port", arguments[2]);
            settings.put("discovery.type", "single-node");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.put("cluster.max_shards_per_node", 5000);
            // Of the runner, for clusters of several nodes.
            settings.remove("cluster.initial_cluster_manager_nodes");
            settings.remove("cluster.initial_master_nodes");
        });
        runner.build(OpenSearchRunner.newConfigs().clusterName(arguments[0]).numOfNode(1)
                .basePath(arguments[3]).useLogger());
        Thread.currentThread().join();
    }
}
